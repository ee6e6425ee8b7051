package audit_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// Somebody else's models: tenants by another name, a column that must be quoted, a table in a schema of
// its own, a join table, a naming strategy, and a setting called differently.
type (
	Firm struct {
		Number scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
		Name   string
	}
	Invoice struct {
		FirmNo scopes.TenantID `gorm:"column:firmNo;primaryKey;autoIncrement:false"`
		ID     int64           `gorm:"primaryKey"`
		Total  int64

		Firm  Firm   `gorm:"foreignKey:FirmNo;references:Number"`
		Lines []Line `gorm:"foreignKey:FirmNo,InvoiceID;references:FirmNo,ID"`
		Tags  []Tag  `gorm:"many2many:invoice_tags;foreignKey:FirmNo,ID;joinForeignKey:FirmNo,InvoiceID;references:FirmNo,ID;joinReferences:FirmNo,TagID"`
	}
	Line struct {
		FirmNo    scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
		ID        int64           `gorm:"primaryKey"`
		InvoiceID int64
		CountryID int64
		Country   Country
	}
	Tag struct {
		FirmNo scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
		ID     int64           `gorm:"primaryKey"`
	}
	Country struct {
		ID   int64
		Name string
	}
)

func (Line) TableName() string { return "billing.lines" }

const strangersTables = `
	create schema billing;
	create table app_firm (number bigint primary key, name text);
	create table app_country (id bigint primary key, name text unique);
	create table app_invoice ("firmNo" integer not null, id bigint not null, total bigint,
		primary key ("firmNo", id), foreign key ("firmNo") references app_firm);
	create table billing.lines (firm_no bigint not null, id bigint not null, invoice_id bigint not null, country_id bigint references app_country,
		primary key (firm_no, id), foreign key (firm_no, invoice_id) references app_invoice);
	create table app_tag (firm_no bigint not null, id bigint not null, primary key (firm_no, id));
	create table app_invoice_tags (firm_no bigint not null, invoice_id bigint not null, tag_id bigint not null,
		primary key (firm_no, invoice_id, tag_id),
		foreign key (firm_no, invoice_id) references app_invoice, foreign key (firm_no, tag_id) references app_tag);
	alter table app_firm enable row level security;
	alter table app_invoice enable row level security;
	alter table billing.lines enable row level security;
	alter table app_tag enable row level security;
	alter table app_invoice_tags enable row level security;
	create policy p on app_firm using (number = nullif(current_setting('shop.firm', true), '')::bigint);
	create policy p on app_invoice using ("firmNo" = nullif(current_setting('shop.firm', true), '')::bigint);
	create policy p on billing.lines using (firm_no = nullif(current_setting('shop.firm', true), '')::bigint);
	create policy p on app_tag using (firm_no = nullif(current_setting('shop.firm', true), '')::bigint);
	create policy p on app_invoice_tags using (firm_no = nullif(current_setting('shop.firm', true), '')::bigint);`

// strangers is what a stranger's program would say. It names two models: the others are related to them.
func strangers() audit.Config {
	return audit.Config{
		Models:  []any{&Invoice{}, &Tag{}},
		Setting: "shop.firm",
		Namer:   schema.NamingStrategy{TablePrefix: "app_", SingularTable: true},
	}
}

func newStrangersFixture(t *testing.T) fixture {
	w := emptyFixture(t, "audit_stranger", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, strangersTables)
		return err
	})
	w.Exec(t, pgtest.Owner, `grant usage on schema billing to {run};
		grant select, insert, update, delete on app_firm, app_invoice, billing.lines, app_tag, app_invoice_tags, app_country to {run}`)
	return w
}

func TestStranger(t *testing.T) {
	t.Parallel()
	for _, d := range []defect{
		{name: "nothing", want: nil},
		{name: "RLS off on the join table", sql: "alter table app_invoice_tags disable row level security", want: []string{"rls-disabled"}},
		{name: "policy on a quoted column", sql: "alter policy p on app_invoice using (true)", want: []string{"policy-drift", "plan-index"}},
		{name: "policy of the default setting", want: []string{"policy-drift", "plan-index"},
			sql: "alter policy p on app_tag using (firm_no = nullif(current_setting('app.tenant_id', true), '')::bigint)"},
		{name: "foreign key in another schema", sql: "alter table billing.lines drop constraint lines_firm_no_invoice_id_fkey", want: []string{"fk-missing"}},
		{name: "foreign key of the join table", want: []string{"fk-missing"},
			sql: "alter table app_invoice_tags drop constraint app_invoice_tags_firm_no_tag_id_fkey"},
		{name: "primary key of a quoted column", want: []string{"index-tenant", "pk-tenant"},
			sql: `alter table billing.lines drop constraint lines_firm_no_invoice_id_fkey;
				alter table app_invoice_tags drop constraint app_invoice_tags_firm_no_invoice_id_fkey;
				alter table app_invoice drop constraint app_invoice_pkey, add primary key (id, "firmNo");
				alter table billing.lines add foreign key (firm_no, invoice_id) references app_invoice ("firmNo", id);
				alter table app_invoice_tags add foreign key (firm_no, invoice_id) references app_invoice ("firmNo", id)`},
		{name: "unknown table in a third schema", sql: `create schema old; create table old.copies ("firmNo" bigint)`, want: []string{"unknown-table"}},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newStrangersFixture(t)
			d.plant(t, w)
			report := w.audit(t, strangers())
			require.ElementsMatch(t, d.want, found(report, audit.Defect), "%+v", report.Defects())
		})
	}
}

// TestStrangerFixed has the safe fixes applied where names need quotes.
func TestStrangerFixed(t *testing.T) {
	t.Parallel()
	w := newStrangersFixture(t)
	w.Exec(t, pgtest.Owner, `drop policy p on app_invoice; alter table app_invoice disable row level security;
		alter policy p on billing.lines using (true); grant truncate on billing.lines to {run}`)
	applied, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), w.audit(t, strangers()))
	require.NoError(t, err)
	require.Len(t, applied, 4)
	report := w.audit(t, strangers())
	require.True(t, report.InForce(), "%+v", report.Defects())
}
