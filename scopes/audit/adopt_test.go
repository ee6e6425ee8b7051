package audit_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// adoption is a database without tenants that docs/adopt.md is carried out on.
type adoption struct {
	fixture
	guide map[string]*section
	pool  *sql.DB // of the owner, as whom the program works up to step 8
	old   *gorm.DB
}

func newAdoption(t *testing.T) adoption {
	t.Helper()
	a := adoption{guide: readGuide(t)}
	a.runtime = fmt.Sprintf("audit_%d_%d", os.Getpid(), made.Add(1))
	t.Cleanup(func() { a.onServer(t, a.sql("drop role if exists {run}")) })
	a.DB = pgtest.Database(t, "audit_adopt", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, legacyTables)
		return err
	})
	a.admin = a.Connect(t, pgtest.Superuser)
	a.pool = stdlib.OpenDB(*a.impatient(pgtest.Owner))
	t.Cleanup(func() { _ = a.pool.Close() })
	a.old = openOn(t, a.pool)
	return a
}

// impatient is the configuration of a program whose statements fail when they wait for a lock for a second.
func (a adoption) impatient(role string) *pgx.ConnConfig {
	config := a.Config(role)
	config.RuntimeParams["lock_timeout"] = "1000"
	return config
}

func openOn(t *testing.T, pool *sql.DB) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{QueryFields: true, Logger: logger.Discard})
	require.NoError(t, err)
	return db
}

// plugged is the program with the plugin.
func (a adoption) plugged(t *testing.T, config scopes.Config) *gorm.DB {
	t.Helper()
	db := openOn(t, a.pool)
	config.Columns = []string{"org_id"}
	require.NoError(t, db.Use(scopes.NewPlugin(config)))
	return db
}

// run executes the SQL of a section that has a tag, in one session, as the guide says.
func (a adoption) run(t *testing.T, name, tag string) {
	t.Helper()
	role := pgtest.Owner
	if tag == "superuser" {
		role = pgtest.Superuser
	}
	conn := a.Connect(t, role)
	for _, b := range a.guide[name].blocks {
		if b.language != "sql" || b.tag != tag {
			continue
		}
		for _, statement := range statements(a.named(b.text)) {
			runAgain(t, conn, statement)
		}
	}
}

// named gives the guide's role the name of the test's.
func (a adoption) named(text string) string {
	return strings.ReplaceAll(text, "tracker_app", a.runtime)
}

// finds compares what the audit finds with what the guide says, and returns how many defects there are.
func (a adoption) finds(t *testing.T, name, role string) int {
	t.Helper()
	report := a.auditAs(t, role, audit.Config{
		Models:  All(),
		Private: []string{"public.schema_migrations"},
		Require: []audit.Requirement{{Table: "users", Unique: []string{"org_id", "email"}}},
	})
	require.NotNil(t, a.guide[name].finds, "step %s says nothing of what the audit finds", name)
	require.ElementsMatch(t, a.guide[name].finds, found(report, audit.Defect), "step %s", name)
	if len(report.Defects()) == 0 {
		require.Equal(t, "in force", audit.Summarize(report).Result, "%+v", report.NotChecked())
	}
	return len(report.Defects())
}

// meanwhile has two users do work again and again while f runs. None of it may fail: a statement waits for a lock for a second
// at most.
func meanwhile(t *testing.T, work func() error, f func()) {
	t.Helper()
	var stop atomic.Bool
	var rounds, longest atomic.Int64
	var users errgroup.Group
	for range 2 {
		users.Go(func() error {
			for first := true; first || !stop.Load(); first = false {
				start := time.Now()
				if err := work(); err != nil {
					return err
				}
				rounds.Add(1)
				longest.Store(max(longest.Load(), int64(time.Since(start))))
			}
			return nil
		})
	}
	defer func() {
		stop.Store(true)
		require.NoError(t, users.Wait(), "the program failed meanwhile")
		t.Logf("the program did its work %d times meanwhile, in %v at most", rounds.Load(), time.Duration(longest.Load()))
	}()
	f()
}

// TestAdopt carries out docs/adopt.md from top to bottom.
func TestAdopt(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	a.finds(t, "1.", pgtest.Owner)
	defects := math.MaxInt // they get fewer once there are columns
	step := func(name, role string) {
		now := a.finds(t, name, role)
		require.LessOrEqual(t, now, defects, "step %s", name)
		t.Logf("step %s: %d defects", name, now)
		defects = now
	}
	oldProgram := func() error { return oldWork(a.old) }
	for _, name := range []string{"2.", "3."} {
		meanwhile(t, oldProgram, func() { a.run(t, name, "") })
		step(name, pgtest.Owner)
	}

	a.warns(t)
	step("4.", pgtest.Owner)
	fails := a.plugged(t, scopes.Config{Missing: scopes.Error})
	var missing *scopes.TenantMissingError
	require.ErrorAs(t, fails.Find(&[]Project{}).Error, &missing) //tenantvet:ignore the error is what is tested
	require.NoError(t, newWork(as(fails, firstOrg)))
	step("5.", pgtest.Owner)
	panics := a.plugged(t, scopes.Config{})
	require.Panics(t, func() { panics.Find(&[]Project{}) })
	require.NoError(t, newWork(as(panics, firstOrg)))
	require.NoError(t, oldProgram())
	step("6.", pgtest.Owner)

	newProgram := func() error { return newWork(as(panics, firstOrg)) }
	meanwhile(t, newProgram, func() { a.run(t, "7.", "") })
	step("7.", pgtest.Owner)
	meanwhile(t, newProgram, func() {
		a.run(t, "8.", "superuser")
		a.run(t, "8.", "")
	})
	step("8.", a.runtime)
	a.holds(t)
}

// warns is step 4: the plugin lets everything pass, and says what it would not have.
func (a adoption) warns(t *testing.T) {
	t.Helper()
	var log bytes.Buffer
	warns := a.plugged(t, scopes.Config{Missing: scopes.Warn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, newWork(as(warns, firstOrg)))
	require.NoError(t, oldWork(a.old))
	require.Empty(t, log.String())
	require.NoError(t, newWork(warns.WithContext(t.Context()))) //tenantvet:ignore the warning is what is tested
	require.Regexp(t, `query of Project without a tenant .*at=\S+/adopt_program_test.go:\d+`, log.String())

	db, err := open(a.pool)
	require.NoError(t, err)
	withTenant(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.NoError(t, newWork(db.WithContext(r.Context())))
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}

// holds is the end: all layers, each looked at past the ones above it.
func (a adoption) holds(t *testing.T) {
	t.Helper()
	db, reg, err := openTenanted(a.Config(a.runtime), a.Config(pgtest.Owner))
	require.NoError(t, err)
	defer reg.Close()
	db.Logger = logger.Discard
	placement := scopes.Placement{Database: a.Name}
	first, second := firstOrg, scopes.Tenant{ID: uuid.New(), Placement: placement}
	first.Placement = placement
	for range 2 { // the second time they are others
		require.NoError(t, as(db, second).Create(&Org{Name: "The second customer"}).Error)
		for _, tenant := range []scopes.Tenant{first, second} {
			require.NoError(t, newWork(as(db, tenant)))
		}
		require.NoError(t, as(db, second).Exec("insert into users (email) values ('user1@example.com')").Error, "a tenant's own address, by raw SQL")
		second.ID = uuid.New()
	}
	require.Panics(t, func() { db.Find(&[]Project{}) })
	var languages []Language
	require.NoError(t, as(db, second).Find(&languages).Error)
	require.Len(t, languages, 1)

	conn := a.Connect(t, a.runtime)
	count := func(tenant any, query string) (n int) {
		_, err := conn.Exec(t.Context(), "select set_config('app.tenant_id', $1, false)", tenant)
		require.NoError(t, err)
		require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
		return n
	}
	require.Equal(t, 50, count(firstOrg.Key(), "select count(*) from users"))
	require.Equal(t, 0, count(firstOrg.Key(), "select count(*) from users where org_id <> '"+firstOrg.Key()+"'"))
	require.Equal(t, 0, count("", "select count(*) from users"))
	require.Equal(t, 1, count(firstOrg.Key(), "select count(*) from orgs"))

	one, other := scopes.Tenant{ID: uuid.New(), Placement: placement}, scopes.Tenant{ID: uuid.New(), Placement: placement}
	require.NoError(t, as(db, one).Create(&Org{Name: "one"}).Error)
	require.NoError(t, as(db, other).Create(&Org{Name: "other"}).Error)
	attack(t, a.Config(a.runtime), a.Config(pgtest.Superuser), one, other)
}

// schemaOf is what a step back must restore: columns in their order, constraints and indexes.
const schemaOf = `
	select format('%s.%s %s %s %s', attrelid::regclass, attname, atttypid::regtype, attnotnull, pg_get_expr(adbin, adrelid))
	from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
	where attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r') and attnum > 0 and not attisdropped
	union all select format('%s %s %s %s', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'public'::regnamespace
	union all select indexdef from pg_indexes where schemaname = 'public'
	union all select format('%s %s', oid::regclass, relrowsecurity) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
	union all select proname from pg_proc where pronamespace = 'public'::regnamespace
	order by 1`

// TestAdoptUndone goes each step back that is made of SQL, the latest one first.
func TestAdoptUndone(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	oldProgram := func() error { return oldWork(a.old) }
	start := a.list(t, schemaOf)
	a.run(t, "2.", "")
	columns := a.list(t, schemaOf)
	a.run(t, "3.", "")
	meanwhile(t, oldProgram, func() { a.run(t, "3.", "undo") })
	require.Equal(t, columns, a.list(t, schemaOf))
	meanwhile(t, oldProgram, func() { a.run(t, "2.", "undo") })
	require.Equal(t, start, a.list(t, schemaOf))

	for _, name := range []string{"2.", "3.", "7."} {
		a.run(t, name, "")
	}
	panics := a.plugged(t, scopes.Config{})
	newProgram := func() error { return newWork(as(panics, firstOrg)) }
	keys := a.list(t, schemaOf)
	a.run(t, "8.", "superuser")
	a.run(t, "8.", "")
	meanwhile(t, newProgram, func() { a.run(t, "8.", "undo") })
	require.Equal(t, keys, a.list(t, schemaOf))
	require.Error(t, oldProgram(), "the guide says that it does not work after step 7")
	meanwhile(t, newProgram, func() { a.run(t, "7.", "undo") })
	require.NoError(t, oldProgram())
}

// TestAdoptSeveral is the guide's variant for rows of several tenants.
func TestAdoptSeveral(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	conn := a.Connect(t, pgtest.Owner)
	for _, statement := range statements(a.guide["2."].blocks[0].text) {
		runAgain(t, conn, statement)
	}
	a.Exec(t, pgtest.Owner, "update users set org_id = gen_random_uuid()")
	meanwhile(t, func() error { return oldWork(a.old) }, func() { a.run(t, "Rows", "several") })
	require.NoError(t, a.old.Create(&oldProject{OwnerID: 7, Name: "new"}).Error)
	require.Equal(t, []string{"0"}, a.list(t, `select count(*)::text from projects join users on users.id = owner_id
		where projects.org_id is distinct from users.org_id`))
}

// TestAdoptByTheAudit runs nothing but what the audit prints, once there are columns. What a key did by itself, it asks for again.
func TestAdoptByTheAudit(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	a.run(t, "2.", "")
	for range 2 {
		a.applyAll(t, a.auditAs(t, pgtest.Owner, audit.Config{Models: All()}))
	}
	report := a.auditAs(t, pgtest.Owner, audit.Config{Models: All()})
	require.Empty(t, report.Defects())
	for _, c := range report.Checks {
		if c.Status == audit.Note && c.ID == "grant-missing" {
			a.Exec(t, pgtest.Superuser, c.Fix)
		}
	}
	require.NotContains(t, found(a.audit(t, audit.Config{Models: All()}), audit.NotChecked), "plan-index")
	require.NoError(t, newWork(as(a.plugged(t, scopes.Config{}), firstOrg)))
}

// TestAdoptPrograms looks for the guide's Go in what the tests run, and builds and runs its program for the audit.
func TestAdoptPrograms(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	var source strings.Builder
	for _, name := range []string{"adopt_models_test.go", "adopt_program_test.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		source.Write(text)
	}
	dir := importing(t)
	for _, s := range a.guide {
		for _, b := range s.blocks {
			if b.language != "go" {
				continue
			}
			name, program, isFile := strings.Cut(strings.TrimPrefix(b.text, "// "), "\n")
			if isFile && strings.HasSuffix(name, ".go") {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(a.named(program)), 0o644))
			}
			if !strings.HasSuffix(name, "main.go") {
				_, declarations, _ := strings.Cut(b.text, "\n)\n")
				if !isFile || !strings.HasSuffix(name, ".go") {
					declarations = b.text
				}
				declarations = strings.ReplaceAll(declarations, "models.", "")
				require.True(t, strings.Contains(source.String(), declarations), "nobody compiles %s", b.text)
			}
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", "audit.exe", "./audit")
	build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	program := exec.CommandContext(t.Context(), filepath.Join(dir, "audit.exe"))
	program.Env = append(os.Environ(), "DATABASE_URL="+a.DSN(pgtest.Owner))
	out, err = program.Output()
	require.Error(t, err)
	require.Contains(t, string(out), `alter table "public"."users" add column "org_id" uuid;`)
}

// importing returns a folder with a module that imports this one, as the guide says.
func importing(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	text := strings.Replace(string(module), "module tenanted\n", "module tracker\n", 1) +
		fmt.Sprintf("\nrequire tenanted v0.0.0\n\nreplace tenanted => %s\n", root)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644))
	return dir
}
