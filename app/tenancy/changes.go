package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// changesChannel is the channel on which the trigger of control.tenants notifies, and the trigger's name.
const changesChannel = "tenant_changes"

// reconnectAfter is how long the directory waits before it listens again.
const reconnectAfter = time.Second

// watch forgets all tenants when one changes, whichever process changes it, until ctx ends. It holds one connection.
// While that is broken, or where a pooler in transaction mode swallows notifications, answers are as old as they may be
// without it.
func (d *Directory) watch(ctx context.Context, to *pgx.ConnConfig) {
	for ctx.Err() == nil {
		_ = d.listen(ctx, to) // lookups report why it ended
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter):
		}
	}
}

// listen forgets everything at each change, until the connection breaks. A lookup takes a fraction of a millisecond.
func (d *Directory) listen(ctx context.Context, to *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+changesChannel); err != nil {
		return err
	}
	for { // first without a notification, since nothing tells what changed before
		d.forget()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

func (d *Directory) forget() {
	d.changes.Add(1)
	d.known.Purge()
	d.unknown.Purge()
}
