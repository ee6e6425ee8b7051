package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
)

type moveOptions struct {
	where        config.Choice
	shared, undo bool
	lock         bool
	grace        time.Duration
	format       string
}

func newTenantsMove(p *program) *cobra.Command {
	var o moveOptions
	cmd := &cobra.Command{
		Use:   "move TENANT",
		Short: "Move a tenant to another placement",
		Long: `Moves a tenant (its slug or id) to a database or schema of its own, to another server, or into the shared tables, as far as the
configuration has them. The rows are copied and compared by checksums, the directory is switched, and what was left behind is
removed after --grace. Running servers go by the new place at once.

Reads go on. Where the server it is moved from lets changes be followed (PostgreSQL 15, wal_level = logical, a free replication slot,
and REPLICATION for the owner), changes of its rows go on too, and wait only for the switch, a fraction of a second. Elsewhere they
wait, behind locks, from the beginning of the copy to the switch. The command says beforehand which of both and why, and
afterwards how long that was. Other tenants are not held up. If it is interrupted, the same command goes on, and --undo takes back a
move that is not switched.`,
		Example: `  DJANGO_CONFIGURATION=Mixed PROGRAM tenants move acme --database tenanted_acme
  DJANGO_CONFIGURATION=Mixed PROGRAM tenants move acme --server eu
  DJANGO_CONFIGURATION=Mixed PROGRAM tenants move acme --shared`,
		Args:              arguments("the tenant"),
		ValidArgsFunction: p.completeTenant,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.checkMove(o); err != nil {
				return err
			}
			return p.withCreator(cmd.Context(), func(c *tenancy.Creator) error { return p.move(cmd.Context(), c, args[0], o) })
		},
	}
	addPlacement(cmd, &o.where)
	cmd.Flags().BoolVar(&o.shared, "shared", false, "into the shared tables")
	cmd.Flags().BoolVar(&o.undo, "undo", false, "take back a move that was interrupted")
	cmd.Flags().BoolVar(&o.lock, "lock", false, "have changes wait from the beginning of the copy, also where they could be followed")
	cmd.Flags().DurationVar(&o.grace, "grace", 15*time.Second, "how long the former place is kept for requests and processes that still go by it")
	addFormat(cmd, &o.format)
	return cmd
}

func (p *program) checkMove(o moveOptions) error {
	chosen := o.where != (config.Choice{})
	switch {
	case o.undo && (chosen || o.shared), o.shared && chosen:
		return usage("name one place, or --undo")
	case o.undo && o.lock:
		return usage("--lock: an undo copies nothing")
	case !o.undo && !chosen && !o.shared:
		return usage("say where to: --database, --schema, --server or --shared")
	case o.grace < 0:
		return usage("--grace %v is below zero", o.grace)
	}
	cfg, err := p.load()
	if err != nil {
		return err
	}
	if _, has := cfg.SharedPlacement(); o.shared && !has {
		return usage("--shared: %s has no shared tables", cfg.Strategy)
	}
	return knownFormat(o.format)
}

// moved is a move as JSON.
type moved struct {
	ID       int64   `json:"id"`
	Slug     string  `json:"slug"`
	From     string  `json:"from"`
	To       string  `json:"to"`
	Rows     int64   `json:"rows"`
	Followed bool    `json:"changes_followed"`
	Changes  int64   `json:"changes_applied"`
	Held     float64 `json:"changes_held_seconds"`
}

func (p *program) move(ctx context.Context, c *tenancy.Creator, tenant string, o moveOptions) error {
	if o.undo {
		m, err := c.UndoMove(ctx, tenant)
		if err == nil {
			p.say(fmt.Sprintf("tenant %s stays in %s", m.Slug, m.From))
		}
		return err
	}
	shown := newBar(p.Err, "rows", -1)
	m, err := c.Move(ctx, tenant, tenancy.MoveOptions{Where: o.where, Grace: o.grace, Lock: o.lock, Begins: p.sayHowMoved, Progress: shown.set})
	shown.end()
	if err != nil {
		return err
	}
	if o.format == formatJSON {
		return writeJSON(p.Out, moved{listedOf(m.Entry).ID, m.Slug, m.From.String(), m.To.String(), m.Rows, m.Followed, m.Changes, m.Held.Seconds()})
	}
	p.say(fmt.Sprintf("moved tenant %s from %s to %s", m.Slug, m.From, m.To))
	if m.Rows > 0 {
		p.say(fmt.Sprintf("  %d rows, and %d changes during the copy; changes waited for %v", m.Rows, m.Changes, m.Held.Round(time.Millisecond)))
	}
	return nil
}

// sayHowMoved says what becomes of changes during the copy.
func (p *program) sayHowMoved(waiting error) {
	if waiting == nil {
		fmt.Fprintln(p.Err, "changes of its rows go on during the copy, and wait for a moment at its end")
		return
	}
	fmt.Fprintf(p.Err, "changes of its rows wait now, behind locks, until they are copied: %v\n", waiting)
}
