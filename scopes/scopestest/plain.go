package scopestest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// plain replaces the session layer if that is off: pools of pgx's driver, all to A's database. If row-level security is on, each
// tenant has a pool whose sessions have the tenant as a setting, and contexts without a tenant have one without the setting.
type plain struct {
	of map[string]*sql.DB // by key; empty for none
}

var (
	_ gorm.ConnPool       = (*plain)(nil)
	_ gorm.TxBeginner     = (*plain)(nil)
	_ gorm.GetDBConnector = (*plain)(nil)
)

func openPlain(t testing.TB, role *pgx.ConnConfig, target Target, rls bool) *plain {
	p := &plain{of: map[string]*sql.DB{}}
	for _, key := range []string{"", target.A.Key(), target.B.Key()} {
		config := role.Copy()
		place(config, target.A.Placement)
		if rls && key != "" {
			config.RuntimeParams[session.Setting] = key
		}
		db := stdlib.OpenDB(*config)
		db.SetMaxOpenConns(maxConns)
		t.Cleanup(func() { _ = db.Close() })
		p.of[key] = db
	}
	return p
}

// place sets a placement in config.
func place(config *pgx.ConnConfig, p scopes.Placement) {
	if p.Database != "" {
		config.Database = p.Database
	}
	if p.Schema != "" {
		config.RuntimeParams["search_path"] = pgx.Identifier{p.Schema}.Sanitize()
	}
}

func (p *plain) pool(ctx context.Context) *sql.DB {
	t, _ := scopes.FromContext(ctx)
	if db, ok := p.of[t.Key()]; ok {
		return db
	}
	return p.of[""]
}

func (p *plain) GetDBConn() (*sql.DB, error) { return p.of[""], nil }

func (p *plain) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return p.pool(ctx).BeginTx(ctx, opts)
}

func (p *plain) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.pool(ctx).PrepareContext(ctx, query)
}

func (p *plain) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.pool(ctx).ExecContext(ctx, query, args...)
}

func (p *plain) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.pool(ctx).QueryContext(ctx, query, args...)
}

func (p *plain) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.pool(ctx).QueryRowContext(ctx, query, args...)
}
