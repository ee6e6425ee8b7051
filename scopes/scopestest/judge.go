package scopestest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
)

// Marks in the text fields of the tenants' rows.
const (
	canary   = "canary of B"
	ownMark  = "row of A"
	perTable = 2 // parents of each tenant, and children of each parent
	firstID  = 1_000_000
)

// sight is the judge's view of one tenant's tables.
type sight struct {
	conn *pgx.Conn
	db   *gorm.DB
}

// sights are the judge's views of both tenants' tables.
type sights struct{ a, b sight }

// judge reads all rows over its own connections, with none of the code under test.
type judge struct {
	subject
	sights
	target Target
	shared bool // A's and B's rows are in the same tables
}

func newJudge(t testing.TB, target Target, s subject) *judge {
	return &judge{subject: s, sights: connectBoth(t, target, s.models()), target: target, shared: target.A.Placement == target.B.Placement}
}

// connectBoth connects to both tenants' tables.
func connectBoth(t testing.TB, target Target, models []model) sights {
	role := target.Judge
	if role == nil {
		role = target.Owner
	}
	require.NotNil(t, role, "Target.Judge or Target.Owner is required")
	require.Empty(t, target.A.Server+target.B.Server, "the suite connects to one server: leave Placement.Server empty")
	return sights{connect(t, role, target.A.Placement, models), connect(t, role, target.B.Placement, models)}
}

func connect(t testing.TB, role *pgx.ConnConfig, p scopes.Placement, models []model) sight {
	config := role.Copy()
	place(config, p)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	pool := stdlib.OpenDB(*config)
	t.Cleanup(func() {
		_ = conn.Close(context.Background())
		_ = pool.Close()
	})
	db := openGORM(t, pool)
	require.NoError(t, disarmAll(db, models...))
	return sight{conn, db}
}

// rows are one tenant's rows as they were created: the children of all parents, in the order of the parents.
type rows struct {
	tenant            scopes.Tenant
	parents, children []any
}

// state is the content of the tables.
type state struct {
	rows [2]rows   // A's and B's, as they were created
	text [2]string // A's and B's, as PostgreSQL prints them
}

// reset recreates both tenants' rows. B's ids are above A's, also if they are in different tables.
func (j *judge) reset(ctx context.Context) (s state, err error) {
	tenants := []scopes.Tenant{j.target.A, j.target.B}
	sights := []sight{j.a, j.b}
	for _, sight := range sights { // both before either is filled: they may be the same tables
		if err := j.clear(ctx, sight); err != nil {
			return s, err
		}
	}
	for i, sight := range sights {
		mark := []string{ownMark, canary}[i]
		if s.rows[i], err = j.fill(ctx, sight, tenants[i], mark, int64(i+1)*firstID); err != nil {
			return s, err
		}
	}
	s.text, err = j.look(ctx)
	return s, err
}

// clear deletes the rows of both tenants, and other tenants' children of their parents.
func (j *judge) clear(ctx context.Context, s sight) error {
	theirs := fmt.Sprintf("%s in (%s, %s)", ident(j.parent.tenant.DBName), literal(j.target.A), literal(j.target.B))
	_, err := s.conn.Exec(ctx, fmt.Sprintf(`
		delete from %[1]s where %[2]s in (%[3]s, %[4]s) or %[5]s in (select %[6]s from %[7]s where %[8]s);
		delete from %[7]s where %[8]s`,
		ident(j.child.Table), ident(j.child.tenant.DBName), literal(j.target.A), literal(j.target.B), ident(j.foreignKey.DBName),
		ident(j.parent.id.DBName), ident(j.parent.Table), theirs))
	return err
}

// fill creates a tenant's rows, with ids from first.
func (j *judge) fill(ctx context.Context, s sight, t scopes.Tenant, mark string, first int64) (made rows, err error) {
	made.tenant = t
	row := func(m model) any {
		first++
		return m.set(m.forTenant(m.make(mark), t), m.id, m.numbered(first))
	}
	for range perTable {
		parent := row(j.parent)
		made.parents = append(made.parents, parent)
		for range perTable {
			child := j.child.set(row(j.child), j.foreignKey, j.parent.get(parent, j.parent.id))
			made.children = append(made.children, child)
		}
	}
	if err := create(s.db.WithContext(ctx), j.parent, made.parents); err != nil {
		return made, err
	}
	return made, create(s.db.WithContext(ctx), j.child, made.children)
}

func create(db *gorm.DB, m model, rows []any) error {
	return db.Session(&gorm.Session{SkipDefaultTransaction: true}).Omit(relations(m)...).Create(m.list(rows...)).Error
}

func relations(m model) (names []string) {
	for name := range m.Relationships.Relations {
		names = append(names, name)
	}
	return names
}

// snapshot returns the tenant's rows as PostgreSQL prints them.
func (j *judge) snapshot(ctx context.Context, s sight, t scopes.Tenant) (text string, err error) {
	sql := fmt.Sprintf(`select coalesce(string_agg(row, E'\n' order by n, id, row), '') from (
			select 1 as n, t.%[3]s as id, t::text as row from %[1]s t where t.%[2]s = $1 union all
			select 2 as n, t.%[6]s as id, t::text as row from %[4]s t where t.%[5]s = $1) rows`,
		ident(j.parent.Table), ident(j.parent.tenant.DBName), ident(j.parent.id.DBName),
		ident(j.child.Table), ident(j.child.tenant.DBName), ident(j.child.id.DBName))
	err = s.conn.QueryRow(ctx, sql, stored(t)).Scan(&text)
	return text, err
}

// orphans counts A's children whose parent is B's.
func (j *judge) orphans(ctx context.Context) (n int, err error) {
	if !j.shared {
		return 0, nil
	}
	// One after the other, since a Citus cluster joins a tenant's rows with its own only.
	lost := fmt.Sprintf(`select coalesce(array_agg(c.%[3]s::text), '{}') from %[1]s c where c.%[2]s = $1
			and not exists (select 1 from %[4]s p where p.%[6]s = c.%[3]s and p.%[5]s = c.%[2]s)`,
		ident(j.child.Table), ident(j.child.tenant.DBName), ident(j.foreignKey.DBName),
		ident(j.parent.Table), ident(j.parent.tenant.DBName), ident(j.parent.id.DBName))
	var parents []string
	if err = j.a.conn.QueryRow(ctx, lost, stored(j.target.A)).Scan(&parents); err != nil || len(parents) == 0 {
		return 0, err
	}
	others := fmt.Sprintf("select count(*) from %s where %s::text = any ($1)", ident(j.parent.Table), ident(j.parent.id.DBName))
	err = j.a.conn.QueryRow(ctx, others, parents).Scan(&n)
	return n, err
}

// look returns A's and B's current rows.
func (j *judge) look(ctx context.Context) (text [2]string, err error) {
	if text[0], err = j.snapshot(ctx, j.a, j.target.A); err != nil {
		return text, err
	}
	text[1], err = j.snapshot(ctx, j.b, j.target.B)
	return text, err
}

// harm returns how an attack succeeded, or "", and whether the rows are unchanged.
func (j *judge) harm(ctx context.Context, before state, x *attackRun) (harm string, unchanged bool, err error) {
	after, err := j.look(ctx)
	if err != nil {
		return "", false, err
	}
	orphans, err := j.orphans(ctx)
	switch {
	case strings.Contains(strings.Join(x.seen, "\n"), canary):
		harm = "A saw rows of B"
	case strings.Contains(after[0], canary):
		harm = "A has a copy of a row of B"
	case after[1] != before.text[1]:
		harm = "rows of B were changed"
	case orphans > 0:
		harm = "a row of A points at B's"
	default:
		harm = x.learned
	}
	return harm, after == before.text, err
}

// leaks returns what the attack left behind in the pool and on the server, or "". The server notices a canceled statement and a
// closed connection a little later than the client, so leaks waits for a while.
func (j sights) leaks(ctx context.Context, o *opened) (left string, err error) {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if left, err = j.leaksNow(ctx, o); left == "" || err != nil {
			return left, err
		}
	}
	return left, err
}

func (j sights) leaksNow(ctx context.Context, o *opened) (string, error) {
	for _, pool := range o.pools {
		if n := pool.Stats().InUse; n != 0 {
			return fmt.Sprintf("%d connections are still in use", n), nil
		}
	}
	var open int
	const ask = `select count(*) from pg_stat_activity where datname in ($1, $2) and pid <> pg_backend_pid()
		and backend_type = 'client backend' and state <> 'idle'`
	err := j.a.conn.QueryRow(ctx, ask, j.a.conn.Config().Database, j.b.conn.Config().Database).Scan(&open)
	if err != nil || open > 0 {
		return fmt.Sprintf("%d server processes are in the middle of something", open), err
	}
	left, err := o.leftovers(ctx)
	if len(left) > 0 {
		return "left on a connection: " + strings.Join(left, "; "), err
	}
	return "", err
}

// texts returns all strings in a value, at any depth.
func texts(values ...any) (found []string) {
	for _, v := range values {
		if err, ok := v.(error); ok {
			found = append(found, err.Error())
			continue
		}
		found = appendTexts(found, reflect.ValueOf(v), 0)
	}
	return found
}

func appendTexts(found []string, v reflect.Value, depth int) []string {
	if depth > 12 { // relations can be circular
		return found
	}
	switch v.Kind() {
	case reflect.String:
		return append(found, v.String())
	case reflect.Pointer, reflect.Interface:
		return appendTexts(found, v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			found = appendTexts(found, v.Field(i), depth+1)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(found, fmt.Sprintf("%s", v))
		}
		for i := range v.Len() {
			found = appendTexts(found, v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, key := range slices.Concat(v.MapKeys()) {
			found = appendTexts(found, v.MapIndex(key), depth+1)
		}
	}
	return found
}

func ident(name string) string { return pgx.Identifier{name}.Sanitize() }
