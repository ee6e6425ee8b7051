package directory

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

// reconnectAfter is how long the directory waits before it listens again.
const reconnectAfter = time.Second

// Watch has the directory listen for changes to tenants, made by whichever process, so that it forgets them at once
// instead of after some seconds. The program that changes one notifies the channel, best by a trigger of the table; what the
// notification says is for Config.Notified. It takes one more connection, until Close. Call it once.
func (d *Directory) Watch(ctx context.Context) {
	ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.stopped = make(chan struct{})
	go func() {
		defer close(d.stopped)
		for ctx.Err() == nil {
			_ = d.listen(ctx) // lookups report why it ended
			select {
			case <-ctx.Done():
			case <-time.After(reconnectAfter):
			}
		}
	}()
}

// listen forgets everything at each change, until the connection breaks. A lookup takes a fraction of a millisecond.
func (d *Directory) listen(ctx context.Context) error {
	conn, err := session.NewConnector(d.config.Database).BeforeConnect(d.config.BeforeConnect).ConnectPgx(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{d.config.Channel}.Sanitize()); err != nil {
		return err
	}
	for changed := true; ; { // first without a notification, since nothing tells what changed before
		if changed {
			d.Forget()
		}
		said, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		changed = d.config.Notified == nil || d.config.Notified(said.Payload)
	}
}
