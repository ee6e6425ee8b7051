package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

// safeDefects are all that Fix should fix, at once.
const safeDefects = `
	alter table accounts disable row level security;
	drop policy tenant on users;
	alter policy tenant on projects using (true);
	create policy support on tasks using (true);
	create policy tenant_isolation on users as restrictive using (true);
	alter policy tenant on tasks with check (account_id > 0);
	grant truncate, trigger on tasks to {run};
	grant references (id) on tasks to {run};
	grant create on schema public to {run};` + partitioned + `
	grant select on subtasks_0 to {run};`

func TestFixMendsWhatIsSafe(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, safeDefects)
	before := w.audit(t, audit.Config{})
	for _, c := range before.Defects() {
		require.True(t, c.SafeToFix || c.ID == "plan-index", "%+v", c)
	}
	applied, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), before)
	require.NoError(t, err)
	require.NotEmpty(t, applied)

	after := w.audit(t, audit.Config{})
	require.Empty(t, after.Defects())
	again, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), after)
	require.NoError(t, err)
	require.Empty(t, again)
}

// TestFixLeavesTheRestAlone: what may break somebody else's program is for a person to decide.
func TestFixLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Superuser, `create role {run}_group; grant {run}_group to {run};
		create policy support on tasks to {run}_group using (true); grant truncate on tasks to {run}_group;
		alter table users add unique (email); grant select on users to public; grant test_owner to {run}_group`)
	w.Exec(t, pgtest.Owner, "create view v as select * from tasks")
	before := w.audit(t, audit.Config{})
	require.Subset(t, found(before, audit.Defect), []string{"grant-public", "policy-extra", "runtime-member", "unique-tenant", "view-definer"})
	applied, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), before)
	require.NoError(t, err)
	require.Empty(t, applied)
	require.Equal(t, before, w.audit(t, audit.Config{}))
}

// TestMendedTablesKeepTenantsApart looks at rows instead of catalogs.
func TestMendedTablesKeepTenantsApart(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, "insert into accounts (id) values (1), (2)")
	w.Exec(t, pgtest.Owner, "alter policy tenant on accounts using (true)")
	conn := w.Connect(t, w.runtime)
	require.Equal(t, 2, visible(t, conn, ""))

	_, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), w.audit(t, audit.Config{}))
	require.NoError(t, err)
	require.Equal(t, 0, visible(t, conn, ""))
	require.Equal(t, 1, visible(t, conn, "2"))
}

func visible(t *testing.T, conn *pgx.Conn, tenant string) (count int) {
	t.Helper()
	_, err := conn.Exec(t.Context(), "select set_config('app.tenant_id', $1, false)", tenant)
	require.NoError(t, err)
	require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from accounts").Scan(&count))
	return count
}

// A policy is replaced statement by statement, as by psql, while the program runs: its rows are there all the time.
func TestAPolicyIsReplacedWithoutAGap(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, `insert into accounts (id) values (1);
		alter policy tenant on accounts with check (true); create policy tenant_isolation on accounts for insert with check (true)`)
	app := w.Connect(t, w.runtime)
	for _, c := range w.audit(t, audit.Config{}).Defects() {
		require.Equal(t, "policy-drift", c.ID)
		for statement := range strings.SplitSeq(c.Fix, "\n") {
			w.Exec(t, pgtest.Owner, strings.TrimSuffix(statement, ";"))
			require.Equal(t, 1, visible(t, app, "1"), statement)
		}
	}
	require.True(t, w.audit(t, audit.Config{}).InForce())
	var names string
	require.NoError(t, w.admin.QueryRow(t.Context(), "select string_agg(polname, ' ') from pg_policy where polrelid = 'accounts'::regclass").Scan(&names))
	require.Equal(t, "tenant", names)
}

// Row-level security that was never on is turned on by a person, who knows what the program does; what somebody turned off is not.
func TestFixDoesNotBeginWithRowLevelSecurity(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, "alter table tasks disable row level security")
	require.True(t, w.audit(t, audit.Config{}).Defects()[0].SafeToFix)

	for _, table := range models.Tables() {
		w.Exec(t, pgtest.Owner, "alter table "+table.Name+" disable row level security")
	}
	report := w.audit(t, audit.Config{})
	require.Len(t, report.Defects(), len(models.Tables()))
	applied, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), report)
	require.NoError(t, err)
	require.Empty(t, applied)
}

func TestFixIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, "alter table tasks disable row level security; alter table users disable row level security")
	report := w.audit(t, audit.Config{})
	for i := range report.Checks {
		if c := &report.Checks[i]; c.Object == "table public.users" && c.Status == audit.Defect {
			c.Fix = "alter table nowhere enable row level security"
		}
	}
	applied, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), report)
	require.ErrorContains(t, err, "rls-disabled of table public.users")
	require.Empty(t, applied)
	require.Len(t, w.audit(t, audit.Config{}).Defects(), 2)
}

func TestFixRefusesAnotherDatabase(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	report := w.audit(t, audit.Config{})
	report.Database = "elsewhere"
	_, err := audit.Fix(t.Context(), w.Connect(t, pgtest.Owner), report)
	require.ErrorContains(t, err, "elsewhere")
}

func TestPlacements(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, "create schema \"tenant-1\"; create schema left_behind")
	for _, schema := range []string{`"tenant-1"`, "left_behind"} {
		w.Exec(t, pgtest.Owner, "set search_path = "+schema+";"+tenantTables(t)+strings.ReplaceAll(grants, "public", schema)+"reset search_path")
	}
	report := w.audit(t, audit.Config{}, "public", "tenant-1", "left_behind")
	require.True(t, report.InForce(), "%+v", report.Defects())

	w.Exec(t, pgtest.Owner, `alter table "tenant-1".tasks disable row level security`)
	w.Exec(t, pgtest.Superuser, `alter role {run} set search_path = "$user", "tenant-1"`)
	report = w.audit(t, audit.Config{}, "public", "tenant-1", "nowhere")
	require.Equal(t, []string{"rls-disabled", "schema-missing", "session-search-path", "unknown-table"}, found(report, audit.Defect))
	for _, c := range report.Defects() {
		switch c.ID {
		case "rls-disabled":
			require.Equal(t, "tenant-1", c.Schema)
			require.Equal(t, "table tenant-1.tasks", c.Object)
		case "unknown-table":
			require.Contains(t, c.Object, "left_behind.")
			require.Empty(t, c.Schema)
		}
	}
}

// Further schemas stand behind the tenant's on the search_path.
func TestFurtherSchemas(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, `create schema reference; create table reference.countries (code text); create schema "tenant-1"`)
	w.Exec(t, pgtest.Owner, `set search_path = "tenant-1";`+tenantTables(t)+strings.ReplaceAll(grants, "public", `"tenant-1"`)+"reset search_path")
	both := []string{"public", "tenant-1"}

	report := w.audit(t, audit.Config{Further: []string{"reference"}}, both...)
	require.True(t, report.InForce(), "%+v", report.Defects())
	require.NotContains(t, found(report, audit.Note), "session-further")

	w.Exec(t, pgtest.Owner, "create view reference.tasks as select 1 as id")
	report = w.audit(t, audit.Config{Further: []string{"reference"}}, both...)
	require.True(t, report.InForce(), "%+v", report.Defects())
	require.Contains(t, found(report, audit.Note), "session-further")

	report = w.audit(t, audit.Config{Further: []string{"public"}}, both...)
	require.Equal(t, []string{"session-further"}, found(report, audit.Defect), "another tenant's tables")
	report = w.audit(t, audit.Config{Further: []string{"public"}, Allow: []string{"tenant-1.*"}}, "public")
	require.NotContains(t, found(report, audit.Defect), "session-further", "everybody's own")
}

// TestOwnersConnection: the owner sees all but the plan, which takes the runtime role's place.
func TestOwnersConnection(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	report := w.auditAs(t, pgtest.Owner, audit.Config{})
	require.True(t, report.InForce())
	require.Contains(t, found(report, audit.NotChecked), "plan-index")

	report = w.auditAs(t, pgtest.Superuser, audit.Config{})
	require.True(t, report.InForce())
	require.NotContains(t, found(report, audit.Note), "plan-index")

	report = w.audit(t, audit.Config{})
	require.NotContains(t, found(report, audit.Note), "plan-index")
}

func TestRuntimeIsTheConnectionsByDefault(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	report, err := audit.Run(t.Context(), w.Connect(t, pgtest.Owner), audit.Config{Models: models.All()}, "public")
	require.NoError(t, err)
	require.Equal(t, pgtest.Owner, report.Runtime)
	require.Contains(t, found(report, audit.Defect), "runtime-owner")
}

// TestTenantOfTheConnection: what the catalogs do not show.
func TestTenantOfTheConnection(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	config := w.Config(w.runtime)
	config.RuntimeParams["app.tenant_id"] = "1"
	config.RuntimeParams["row_security"] = "off"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	report, err := audit.Run(t.Context(), conn, audit.Config{Models: models.All()}, "public")
	require.NoError(t, err)
	require.Equal(t, []string{"session-row-security", "session-tenant"}, found(report, audit.Defect))
}

func TestStartup(t *testing.T) {
	t.Parallel()
	for _, d := range []defect{
		{name: "sound", want: nil},
		{name: "superuser", as: pgtest.Superuser, sql: "alter role {run} superuser", want: []string{"runtime-superuser"}},
		{name: "bypassrls", as: pgtest.Superuser, sql: "alter role {run} bypassrls", want: []string{"runtime-bypassrls"}},
		{name: "owner", as: pgtest.Superuser, sql: "alter table tasks owner to {run}", want: []string{"runtime-owner"}},
		{name: "member", as: pgtest.Superuser, sql: "grant test_owner to {run}", want: []string{"runtime-member"}},
		{name: "RLS off", sql: "alter table tasks disable row level security", want: []string{"rls-disabled"}},
		{name: "policy", sql: "alter policy tenant on tasks using (true)", want: []string{"policy-drift"}},
		{name: "second policy", sql: "create policy more on tasks using (true)", want: []string{"policy-extra"}},
		{name: "no table", sql: "drop table subtasks", want: []string{"table-missing"}},
		{name: "a view is no matter of start-up", sql: "create view v as select * from tasks", want: nil},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t)
			d.plant(t, w)
			report, err := audit.Startup(t.Context(), w.Connect(t, w.runtime), audit.Config{Models: models.All()}, "public")
			require.NoError(t, err)
			require.ElementsMatch(t, d.want, found(report, audit.Defect))
			if d.want == nil {
				require.NoError(t, report.Err())
				return
			}
			var defective *audit.DefectError
			require.ErrorAs(t, report.Err(), &defective)
			require.NotContains(t, defective.Error(), "\n")
			require.Contains(t, defective.Error(), strings.TrimPrefix(defective.Defects[0].Object, "role "))
		})
	}
}

// counter counts the queries that read the catalogs.
type counter struct {
	mu      sync.Mutex
	queries []string
}

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(q.SQL, " from ") {
		c.queries = append(c.queries, q.SQL)
	}
	return ctx
}

func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestStartupIsThreeQueries(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	config, count := w.Config(w.runtime), &counter{}
	config.Tracer = count
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = audit.Startup(t.Context(), conn, audit.Config{Models: models.All()}, "public")
	require.NoError(t, err)
	require.Len(t, count.queries, 3)
}

func TestRefusedConfigurations(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	conn := w.Connect(t, w.runtime)
	for name, c := range map[string]struct {
		cfg     audit.Config
		schemas []string
		want    string
	}{
		"no models":   {audit.Config{}, []string{"public"}, "Models is empty"},
		"no struct":   {audit.Config{Models: []any{7}}, []string{"public"}, "model int"},
		"bad setting": {audit.Config{Models: models.All(), Setting: "x'y"}, []string{"public"}, `"x'y"`},
		"bad pattern": {audit.Config{Models: models.All(), Allow: []string{"[a"}}, []string{"public"}, `"[a"`},
	} {
		_, err := audit.Run(t.Context(), conn, c.cfg, c.schemas...)
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	var text bytes.Buffer
	require.NoError(t, audit.WriteText(&text, w.audit(t, audit.Config{})))
	for _, layer := range []string{"row-level security", "keys", "query plan"} {
		require.Regexp(t, w.Name+`\.public +`+layer+` +yes +\d+ checks`, text.String())
	}
	require.Regexp(t, w.Name+` +runtime role +yes +\d+ checks`, text.String())
	require.NotContains(t, text.String(), "DEFECT")

	w.Exec(t, pgtest.Owner, "alter policy tenant on tasks with check (true)")
	text.Reset()
	require.NoError(t, audit.WriteText(&text, w.audit(t, audit.Config{})))
	require.Regexp(t, w.Name+`\.public +row-level security +NO +\d+ checks, 1 defect\n`, text.String())
	require.Regexp(t, w.Name+`\.public +keys +yes +\d+ checks`, text.String())
	require.Contains(t, text.String(), "DEFECT policy-drift: table public.tasks\n")
	require.Contains(t, text.String(), "  fix    create policy \"tenant_isolation\" on \"public\".\"tasks\" using")
	require.Contains(t, text.String(), ";\n         drop policy if exists \"tenant\" on \"public\".\"tasks\";\n         alter policy")
}

// What is not asked for is no reason to doubt the rest.
func TestInForceWithoutRequirements(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	report := w.audit(t, audit.Config{})
	require.Equal(t, "in force", audit.Summarize(report).Result, "%+v", report.NotChecked())
}

func TestJSON(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.Exec(t, pgtest.Owner, "alter table tasks disable row level security")
	report := w.audit(t, audit.Config{})
	var out bytes.Buffer
	require.NoError(t, audit.WriteJSON(&out, report))
	var got struct {
		InForce   bool `json:"in_force"`
		Databases []audit.Report
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.False(t, got.InForce)
	require.Equal(t, []audit.Report{report}, got.Databases)
}
