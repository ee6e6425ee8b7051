package tenancy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// changesChannel is where migrations/control/00002_tenant_changes.sql says that a tenant changed.
const changesChannel = "tenant_changes"

// reconnectAfter is how long the directory does without news before it tries again to hear them.
const reconnectAfter = time.Second

// follow forgets all tenants when one changes, whichever process changes it, until ctx ends. It holds one connection.
// While that is broken, or where a pooler in transaction mode swallows the news, answers are as old as they may be
// without it.
func (d *Directory) follow(ctx context.Context, to *pgx.ConnConfig) {
	for ctx.Err() == nil {
		_ = d.hear(ctx, to) // why it ended is told to those who look tenants up
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter):
		}
	}
}

// hear forgets everything at each change, until the connection breaks. A lookup takes a fraction of a millisecond.
func (d *Directory) hear(ctx context.Context, to *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, to)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+changesChannel); err != nil {
		return err
	}
	for { // the first time without news, since what changed before is not told
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
