package tenancy

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/session"
)

// LogEntry is an entry of the audit log: an operation on a tenant. The log is in control.audit_log, and outlives the tenants.
type LogEntry struct {
	Began    time.Time
	Ended    *time.Time // nil: under way, or interrupted
	Operator string     // who did it: "ann@workstation" on the command line, "ann" signed in on the web
	Action   string     // the command, as "create"
	TenantID *int64     // nil: of no tenant alone
	Slug     string     // the tenant's at that time
	Detail   string     // what exactly: "to bolt"
	Error    string     // empty if it succeeded, or has not ended
}

// Outcome returns "done", "failed", or "not finished".
func (e LogEntry) Outcome() string {
	switch {
	case e.Ended == nil:
		return "not finished"
	case e.Error != "":
		return "failed"
	default:
		return "done"
	}
}

// Log returns the newest entries of the audit log, at most limit, newest first. tenant is an id, or a slug that the tenant has or
// had; empty means all tenants.
func (c *Creator) Log(ctx context.Context, tenant string, limit int) ([]LogEntry, error) {
	return readLog(ctx, c.control, tenant, limit)
}

// readLog reads the audit log over a connection of the owner's.
func readLog(ctx context.Context, owner interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, tenant string, limit int) ([]LogEntry, error) {
	rows, _ := owner.Query(ctx, `
		select began_at, ended_at, operator, action, tenant_id, slug, detail, error from control.audit_log
		where $1 = '' or slug = $1 or tenant_id::text = $1
		   or tenant_id in (select tenant_id from control.audit_log where slug = $1 union select id from control.tenants where slug = $1)
		order by id desc limit $2`, tenant, limit)
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LogEntry])
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", session.Explain(err))
	}
	return entries, nil
}

// operator is who acts, for the log: who is signed in as an operator or, without one, who runs the program.
func operator(ctx context.Context, cfg config.Config) string {
	return cmp.Or(models.OperatorOf(ctx), cfg.Operator, "unknown")
}

// logDone writes a line about what is done by then.
const logDone = "insert into control.audit_log (operator, action, tenant_id, slug, detail, ended_at) values ($1, $2, $3, $4, $5, now())"

// LogAllTenants writes to the audit log that rows of all tenants are read, and why.
func (d *Directory) LogAllTenants(ctx context.Context, reason string) error {
	if d.owner == nil {
		return ErrNoOwner
	}
	_, err := d.owner.Exec(ctx, logDone, operator(ctx, d.cfg), "read all tenants", nil, "", reason)
	if err != nil {
		return fmt.Errorf("write the audit log: %w", session.Explain(err))
	}
	return nil
}

// logTime bounds how long writing the end of an action may take, also after an interruption.
const logTime = 5 * time.Second

// Record calls work and writes an entry of the audit log with the operator, the tenant and work's error, which it returns.
// Several goroutines may call it at once while the Creator is not used for anything else.
func (c *Creator) Record(ctx context.Context, action string, tenant scopes.Tenant, detail string, work func() error) error {
	return c.logged(ctx, action, tenant, detail, work)
}

// logged calls work and writes an entry of the audit log. If the process is killed meanwhile, the entry has no end.
func (c *Creator) logged(ctx context.Context, action string, tenant scopes.Tenant, detail string, work func() error) error {
	var id int64
	c.logging.Lock()
	err := c.control.QueryRow(ctx, "insert into control.audit_log (operator, action, tenant_id, slug, detail) values ($1, $2, $3, $4, $5) returning id",
		operator(ctx, c.setup.cfg), action, tenant.ID, tenant.Slug, detail).Scan(&id)
	c.logging.Unlock()
	if err != nil {
		return fmt.Errorf("write the audit log: %w", session.Explain(err))
	}
	failed := work()
	why := ""
	if failed != nil {
		why = strings.ReplaceAll(failed.Error(), "\n", "; ")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTime)
	defer cancel()
	c.logging.Lock()
	defer c.logging.Unlock()
	_, err = c.control.Exec(ctx, "update control.audit_log set ended_at = clock_timestamp(), error = $2 where id = $1", id, why)
	if failed == nil && err != nil {
		failed = fmt.Errorf("it is done, but not in the audit log: %w", session.Explain(err))
	}
	return failed
}
