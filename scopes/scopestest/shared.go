package scopestest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// Shared describes the models of rows of which some are a tenant's own and some are shared by all: see [scopes.ReadOnly]. Each
// function returns a pointer to a new row with text in its text field, which can be inserted once its tenant and id are set.
type Shared struct {
	Own      func(text string) any // of the tenant's own table
	Everyone func(text string) any // of the table of shared rows
	Any      func(text string) any // of the view of both

	// Text names the text field of all three. Default: "Name".
	Text string
}

// everyoneMark is in the text fields of shared rows.
const everyoneMark = "row of everybody"

// RunShared makes every attack on own and shared rows: with all layers on, with only row-level security and grants, and, if
// Target.Owner is set, with only the scope. It fails the test for each that succeeds. [Run] is for what tenants do in their own
// tables.
func RunShared(t *testing.T, s Shared, target Target) {
	t.Helper()
	failEach(t, attackShared(t, s, target, allOn))
	failEach(t, attackShared(t, s, target, rlsOnly))
	if target.Owner != nil {
		failEach(t, attackShared(t, s, target, scopeOnly))
	}
	sharedWorks(t, s, target)
}

// shared is a Shared with its models parsed.
type shared struct{ tenants, everyone, any model } // of the tables of own and of shared rows, and of the view

func (s Shared) parse(t *testing.T) (parsed shared) {
	t.Helper()
	if s.Text == "" {
		s.Text = "Name"
	}
	var err error
	parsed.tenants, err = parseModel(s.Own, s.Text)
	require.NoError(t, err)
	parsed.any, err = parseModel(s.Any, s.Text)
	require.NoError(t, err)
	parsed.everyone, err = parseRow(s.Everyone, s.Text)
	require.NoError(t, err)
	return parsed
}

func (s shared) models() []model { return []model{s.tenants, s.everyone, s.any} }

// sharedRun is one attack being made.
type sharedRun struct {
	*attackRun
	shared
	bs, everyones any // a row of B's, and a shared one
}

// everyonesView returns the shared row as the view shows it to A, and bsView B's row.
func (x *sharedRun) everyonesView() any {
	return x.any.forTenant(x.any.set(x.any.make("changed"), x.any.id, x.everyone.idOf(x.everyones)), x.a.tenant)
}
func (x *sharedRun) bsView() any {
	return x.any.forTenant(x.any.set(x.any.make("changed"), x.any.id, x.tenants.idOf(x.bs)), x.a.tenant)
}

// changed returns the shared row with another text.
func (x *sharedRun) changed() any {
	return x.everyone.set(x.everyone.make("changed"), x.everyone.id, x.everyone.idOf(x.everyones))
}

// sql fills in the names of tables and columns, and ids.
func (x *sharedRun) sql(text string) string {
	return strings.NewReplacer(
		"{own}", x.tenants.name(), "{everyone}", x.everyone.name(), "{any}", x.any.name(), "{tenant}", ident(x.tenants.tenant.DBName),
		"{text}", ident(x.any.text.DBName), "{etext}", ident(x.everyone.text.DBName),
		"{idname}", quoted(x.everyone.id.DBName), "{new}", quoted(x.everyone.numbered(1<<30)),
	).Replace(text)
}

// name is the quoted name of the model's table.
func (m model) name() string { return pgx.Identifier(strings.Split(m.Table, ".")).Sanitize() }

// sharedJudge reads the tables of own and of shared rows.
type sharedJudge struct {
	sights
	shared
	target Target
}

// rows recreates both tenants' rows and the shared one.
func (j *sharedJudge) rows(ctx context.Context) (bs, everyones any, err error) {
	for _, s := range []sight{j.a, j.b} { // both before either is filled: they may be the same tables
		_, err := s.conn.Exec(ctx, fmt.Sprintf("delete from %s where %s in (%s, %s); delete from %s", j.tenants.name(),
			ident(j.tenants.tenant.DBName), literal(j.target.A), literal(j.target.B), j.everyone.name()))
		if err != nil {
			return nil, nil, err
		}
	}
	everyones = j.everyone.set(j.everyone.make(everyoneMark), j.everyone.id, j.everyone.numbered(3*firstID))
	for _, s := range []sight{j.a, j.b} {
		db := s.db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true})
		if err := create(db, j.everyone, []any{everyones}); err != nil {
			return nil, nil, err
		}
	}
	bs, err = j.ownRow(ctx, j.b, j.target.B, canary, 2*firstID)
	if err == nil {
		_, err = j.ownRow(ctx, j.a, j.target.A, ownMark, firstID)
	}
	return bs, everyones, err
}

func (j *sharedJudge) ownRow(ctx context.Context, s sight, t scopes.Tenant, mark string, id int64) (any, error) {
	row := j.tenants.forTenant(j.tenants.set(j.tenants.make(mark), j.tenants.id, j.tenants.numbered(id)), t)
	return row, create(s.db.WithContext(ctx), j.tenants, []any{row})
}

// look returns A's rows, B's rows, and all others.
func (j *sharedJudge) look(ctx context.Context) (text [3]string, err error) {
	own := func(where string) string {
		return fmt.Sprintf("select coalesce(string_agg(t::text, ' ' order by t::text), '') from %s t where %s", j.tenants.name(), where)
	}
	tenant := ident(j.tenants.tenant.DBName)
	everyone := fmt.Sprintf("select (%s) || (select coalesce(string_agg(t::text, ' ' order by t::text), '') from %s t)",
		own(tenant+" is null"), j.everyone.name())
	for i, look := range []struct {
		at  sight
		sql string
	}{{j.a, own(tenant + " = " + literal(j.target.A))}, {j.b, own(tenant + " = " + literal(j.target.B))}, {j.a, everyone}} {
		if err := look.at.conn.QueryRow(ctx, look.sql).Scan(&text[i]); err != nil {
			return text, err
		}
	}
	return text, nil
}

// attackShared makes all attacks that can be stopped by the layers that are on.
func attackShared(t *testing.T, s Shared, target Target, on layers) (outcomes []Outcome) {
	t.Helper()
	parsed := s.parse(t)
	j := &sharedJudge{connectBoth(t, target, parsed.models()), parsed, target}
	o := openTarget(t, target, parsed.models(), on)
	for _, attack := range sharedAttacks {
		if on == scopeOnly && !attack.byModel {
			continue
		}
		bs, everyones, err := j.rows(t.Context())
		require.NoError(t, err)
		before, err := j.look(t.Context())
		require.NoError(t, err)
		x := &sharedRun{&attackRun{db: o.db, a: rows{tenant: target.A}, b: rows{tenant: target.B}, ctx: t.Context()}, parsed, bs, everyones}
		outcome := Outcome{Attack: Attack{Name: attack.name}, Err: x.attackRun.make(Attack{run: func(*attackRun) error { return attack.run(x) }})}
		outcome.Harm = j.harm(t, before, x)
		outcomes = append(outcomes, outcome)
		left, err := j.leaks(t.Context(), o)
		require.NoError(t, err)
		require.Empty(t, left, attack.name)
	}
	return outcomes
}

// harm returns how an attack succeeded, or "".
func (j *sharedJudge) harm(t *testing.T, before [3]string, x *sharedRun) string {
	after, err := j.look(t.Context())
	require.NoError(t, err)
	switch {
	case strings.Contains(strings.Join(x.seen, "\n"), canary):
		return "A saw rows of B"
	case strings.Contains(after[0], canary):
		return "A has a copy of a row of B"
	case after[1] != before[1]:
		return "rows of B were changed"
	case after[2] != before[2]:
		return "everybody's rows were changed"
	}
	return x.learned
}

// sharedWorks fails the test unless both tenants see their own rows and the shared one, and can write their own.
func sharedWorks(t *testing.T, s Shared, target Target) {
	t.Helper()
	parsed := s.parse(t)
	j := &sharedJudge{connectBoth(t, target, parsed.models()), parsed, target}
	_, _, err := j.rows(t.Context())
	require.NoError(t, err)
	db := openTarget(t, target, parsed.models(), allOn).db
	for tenant, mark := range map[scopes.Tenant]string{target.A: ownMark, target.B: canary} {
		db := db.WithContext(scopes.WithTenant(t.Context(), tenant))
		var seen []string
		require.NoError(t, db.Model(parsed.any.one()).Pluck(parsed.any.text.DBName, &seen).Error)
		slices.Sort(seen)
		want := []string{mark, everyoneMark}
		slices.Sort(want)
		require.Equal(t, want, seen, "%v sees its own rows and everybody's", tenant)
		added := parsed.tenants.make("added")
		require.NoError(t, db.Create(added).Error)
		require.NoError(t, db.Model(added).Update(parsed.tenants.text.DBName, "changed").Error)
		require.NoError(t, db.Delete(added).Error)
	}
}

// count reports a number of rows that A learned: it should see its own and the shared one.
func (x *sharedRun) count(db *gorm.DB) error {
	var n int64
	err := db.Count(&n).Error
	if n > 2 {
		x.learned = fmt.Sprintf("A counted %d rows where its own and everybody's are 2", n)
	}
	return err
}
