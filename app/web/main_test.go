package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzhttp"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/scopes/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	single    = "SingleSchema"
	databases = "MultipleDb"
	schemas   = "MultipleSchemas"
	mixed     = "Mixed"
)

var configurations = []string{single, databases, schemas, mixed}

// listsAll reports whether a configuration has a list over all tenants.
func listsAll(configuration string) bool { return configuration == single || configuration == mixed }

// fixture fills one account: three projects of five tasks of seven subtasks for tenant-0, less for others,
// and nothing below the account for tenant-2. Names repeat, so that ties show.
const fixtureSQL = `
	insert into accounts (id) values ($1 + 1);
	insert into users (account_id, id, email, first_name, last_name, password_hash, role)
		select $1 + 1, u, 'u' || u || '@example.com', 'U' || u, 'of ' || $1, '$3', case u when 1 then 'admin' else 'member' end
		from generate_series(1, 2) u where $1 < 2;
	select setval('users_id_seq', 100);
	insert into projects (account_id, id, name) select $1 + 1, p, 'project-' || p from generate_series(1, $2) p;
	insert into tasks (account_id, id, project_id, name)
		select $1 + 1, (p - 1) * 5 + t, p, 'Task ' || t || ' of ' || p from generate_series(1, $2) p, generate_series(1, 5) t;
	insert into subtasks (account_id, id, task_id, name, complete, details)
		select $1 + 1, (t - 1) * 7 + s, t, 'Write chapter ' || (t * s) % 23 || ' 100%', (t + s) % 3 = 0,
			case s when 1 then '' when 2 then 'short' else repeat('Lorem ipsum dolor sit amet. ', s) end
		from generate_series(1, $2 * 5) t, generate_series(1, 7) s`

// adminID and memberID are the users of tenant-0 and tenant-1, whose emails are the same in both: u1@example.com is the admin.
const (
	adminID  = 1
	memberID = 2

	memberEmail = "u2@example.com"
)

// passwordOf returns the password of an account's users.
func passwordOf(tenant int) string { return fmt.Sprintf("password of %d", tenant) }

// tenants are the accounts, with their number of projects.
var projectsOf = []int{3, 1, 0}

// fixture is a site over a database of its own, in one configuration.
type fixture struct {
	db      *pgtest.DB
	tenants []scopes.Tenant
	gorm    *gorm.DB
	site    *site
	handler http.Handler
	log     *strings.Builder
	sent    *statements
	watched *sentStatements // nil: nothing is
}

// statements counts what GORM sends.
type statements struct {
	logger.Interface
	count atomic.Int64
}

// Trace implements GORM's logger.
func (s *statements) Trace(context.Context, time.Time, func() (string, int64), error) { s.count.Add(1) }

func newFixture(t testing.TB, configuration string, change func(*Options)) *fixture {
	t.Helper()
	w := &fixture{log: &strings.Builder{}, sent: &statements{Interface: logger.Discard}}
	switch configuration {
	case single:
		w.db = singleDatabase(t)
		w.place(func(int) (string, string) { return w.db.Name, "public" })
	case schemas:
		w.db = pgtest.Database(t, "web-schemas", fillSchemas)
		w.place(func(i int) (string, string) { return w.db.Name, fmt.Sprintf("tenant-%d", i) })
	case databases:
		w.db = pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
		w.place(func(i int) (string, string) { return fmt.Sprintf("%s_tenant-%d", w.db.Name, i), "public" })
		for i := range projectsOf {
			w.makeDatabase(t, i)
		}
	case mixed:
		w.db = pgtest.Database(t, "web-mixed", fillMixed)
		w.place(func(i int) (string, string) {
			return []string{w.db.Name, w.db.Name, w.db.Name + "_tenant-2"}[i], []string{"public", "tenant-1", "public"}[i]
		})
		w.makeDatabase(t, 2)
	}
	w.open(t, configuration, change)
	return w
}

// singleDatabase has the shared tables, on the Citus cluster if there is one for tests.
func singleDatabase(t testing.TB) *pgtest.DB {
	if !pgtest.HasCitus() {
		return pgtest.Database(t, "web-single", fill("public", 0, 1, 2))
	}
	db := pgtest.Citus(t, "web", func(ctx context.Context, conn *pgx.Conn) error {
		if err := fill("public")(ctx, conn); err != nil {
			return err
		}
		shared := migrations.Target{Set: migrations.Shared, Placement: scopes.Placement{Database: conn.Config().Database, Schema: "public"}}
		return migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}.Up(ctx, shared).Err
	})
	for i := range projectsOf {
		require.NoError(t, insertFixture(t.Context(), db.Connect(t, pgtest.Owner), i))
	}
	return db
}

func insertFixture(ctx context.Context, conn *pgx.Conn, tenant int) error {
	sql := strings.NewReplacer("$1", fmt.Sprint(tenant), "$2", fmt.Sprint(projectsOf[tenant]),
		"$3", models.HashPassword(passwordOf(tenant), fmt.Appendf(nil, "salt of tenant-%d", tenant))).Replace(fixtureSQL)
	_, err := conn.Exec(ctx, sql)
	return err
}

func (w *fixture) place(where func(i int) (database, schema string)) {
	for i := range projectsOf {
		database, schema := where(i)
		w.tenants = append(w.tenants, scopes.Tenant{ID: scopes.TenantID(i + 1), Slug: fmt.Sprintf("tenant-%d", i), Name: fmt.Sprintf("Company <%d> & Sons", i),
			Placement: scopes.Placement{Database: database, Schema: schema}})
	}
}

// makeDatabase makes the database of tenant i from a template of its own.
func (w *fixture) makeDatabase(t testing.TB, i int) {
	source := pgtest.Database(t, fmt.Sprintf("web-db%d", i), fill("public", i))
	name := pgx.Identifier{w.tenants[i].Database}.Sanitize()
	w.db.Exec(t, pgtest.Owner, "create database "+name+" template "+source.Name)
}

func fill(schema string, accounts ...int) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, conn *pgx.Conn) error {
		runner := migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}
		target := migrations.Target{Set: migrations.Tenant, Placement: scopes.Placement{Database: conn.Config().Database, Schema: schema}}
		if err := runner.Up(ctx, target).Err; err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, "set search_path = "+pgx.Identifier{schema}.Sanitize()); err != nil {
			return err
		}
		for _, i := range accounts {
			if err := insertFixture(ctx, conn, i); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, `select setval(pg_get_serial_sequence(t, 'id'), 1000) from unnest(array['projects', 'tasks', 'subtasks']) t`)
		return err
	}
}

func fillSchemas(ctx context.Context, conn *pgx.Conn) error {
	for i := range projectsOf {
		if err := fill(fmt.Sprintf("tenant-%d", i), i)(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// fillMixed leaves a tenant out, who has a database.
func fillMixed(ctx context.Context, conn *pgx.Conn) error {
	if err := fill("public", 0)(ctx, conn); err != nil {
		return err
	}
	return fill("tenant-1", 1)(ctx, conn)
}

func (w *fixture) open(t testing.TB, configuration string, change func(*Options)) {
	t.Helper()
	// Both forms of sending the tenant, without running everything twice.
	form := session.ImplicitTx
	if configuration == single && pgtest.HasCitus() {
		form = session.DetectTx
	} else if configuration == schemas || configuration == mixed {
		form = session.ExplicitTx
	}
	runtime := w.db.Config(pgtest.Runtime)
	if configuration == single && !pgtest.HasCitus() {
		w.watchStatements(t, runtime)
	}
	pools, err := registry.Open(registry.Config{Runtime: runtime, Owner: w.db.Config(pgtest.Owner), Options: session.Options{TxForm: form}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pools.Close()) })
	w.gorm, err = pools.OpenGORM(&gorm.Config{Logger: w.sent}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	o := Options{
		Models: models.New(w.gorm), Directory: w, List: w.List, WithIDs: w.WithIDs, AllTenants: listsAll(configuration), SomeApart: configuration == mixed,
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	w.site, err = newSite(o)
	require.NoError(t, err)
	w.handler = gzhttp.GzipHandler(w.site.router())
}

// Lookup makes the fixture a directory of its tenants, and of one that is suspended.
func (w *fixture) Lookup(_ context.Context, slug string) (scopes.Tenant, error) {
	if slug == "asleep" {
		return scopes.Tenant{}, &scopes.TenantUnavailableError{Slug: slug, State: "suspended"}
	}
	for _, tenant := range w.tenants {
		if tenant.Slug == slug {
			return tenant, nil
		}
	}
	return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: slug}
}

// List lists them.
func (w *fixture) List(_ context.Context, order TenantOrder) ([]TenantEntry, error) {
	var entries []TenantEntry
	for _, tenant := range w.tenants {
		entries = append(entries, TenantEntry{Tenant: tenant, State: "active"})
	}
	entries = append(entries, TenantEntry{Tenant: scopes.Tenant{ID: 99, Slug: "asleep", Name: "Sleepers"}, State: "suspended"})
	slices.SortStableFunc(entries, func(a, b TenantEntry) int {
		switch order {
		case TenantsBySlug:
			return strings.Compare(a.Slug, b.Slug)
		case TenantsByName:
			return strings.Compare(a.Name, b.Name)
		}
		return 0
	})
	return entries, nil
}

// WithIDs finds them.
func (w *fixture) WithIDs(ctx context.Context, ids []scopes.TenantID) ([]TenantEntry, error) {
	entries, err := w.List(ctx, TenantsByID)
	return slices.DeleteFunc(entries, func(e TenantEntry) bool { return !slices.Contains(ids, models.AccountID(e.Tenant)) }), err
}

// ask sends a request, "GET tenant-0.localhost /path", with headers as "Name: value".
func (w *fixture) ask(t testing.TB, line string, headers ...string) *http.Response {
	t.Helper()
	return w.send(t, line, "", headers...)
}

// send is ask with a body. A POST is from the tenant's admin, unless a header says from whom it is.
func (w *fixture) send(t testing.TB, line, body string, headers ...string) *http.Response {
	t.Helper()
	parts := strings.SplitN(line, " ", 3)
	if parts[0] == "POST" && !slices.ContainsFunc(headers, saysWho) {
		if tenant := w.tenantAt(parts[1]); tenant == 0 || tenant == 1 {
			headers = append(headers, w.as(t, tenant, adminID))
		}
	}
	r := httptest.NewRequest(parts[0], parts[2], strings.NewReader(body))
	r.Host = parts[1]
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

// nobody is the header of a request by nobody.
const nobody = "Cookie: none=none"

func saysWho(header string) bool {
	return strings.HasPrefix(header, "Cookie: ") || strings.HasPrefix(header, "Authorization: ")
}

func (w *fixture) tenantAt(host string) int {
	name, _, _ := strings.Cut(host, ".")
	return slices.IndexFunc(w.tenants, func(tenant scopes.Tenant) bool { return tenant.Slug == name })
}

// tenantContext is a context of a tenant.
func (w *fixture) tenantContext(t testing.TB, tenant int) context.Context {
	return scopes.WithTenant(t.Context(), w.tenants[tenant])
}

// as returns the header of a user who is signed in.
func (w *fixture) as(t testing.TB, tenant int, user int64) string {
	t.Helper()
	return "Cookie: session=" + w.newSession(t, tenant, user)
}

// newSession signs a user in, and returns the session's token.
func (w *fixture) newSession(t testing.TB, tenant int, user int64) string {
	t.Helper()
	token := rand.Text()
	hash := sha256.Sum256([]byte(token))
	require.NoError(t, w.site.Models.Sessions(w.tenantContext(t, tenant)).Save(hash[:], user, time.Now().Add(time.Hour)))
	return token
}

func bodyOf(t testing.TB, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}

// page asks for a page and returns its HTML.
func (w *fixture) page(t testing.TB, line string, headers ...string) string {
	t.Helper()
	response := w.ask(t, line, headers...)
	body := bodyOf(t, response)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", line, body)
	return body
}

// contextFor is the context of a request, as the router makes it.
func contextFor(link *url.URL) *gin.Context {
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest("GET", link.String(), nil)
	return c
}
