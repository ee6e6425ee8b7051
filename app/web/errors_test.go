package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/tenanthttp"
)

func TestStatusOfErrors(t *testing.T) {
	t.Parallel()
	for want, failures := range map[int][]error{
		400: {&tenanthttp.HostError{}, refuse(400, "no")},
		404: {&scopes.TenantUnknownError{Slug: "x"}, refuse(404, "no")},
		413: {&http.MaxBytesError{Limit: 1}},
		503: {&scopes.TenantUnavailableError{Slug: "x"}, scopes.ErrUnavailable, scopes.ErrTimeout, tenanthttp.ErrBusy, errTimeout, context.DeadlineExceeded},
		500: {errors.New("secret"), &scopes.TenantMissingError{Model: "secret"}, &scopes.TenantMismatchError{Model: "secret"}},
	} {
		for _, err := range failures {
			p := describe(fmt.Errorf("wrapped: %w", err))
			require.Equal(t, want, p.Status, "%T", err)
			require.NotContains(t, p.Detail, "secret")
			require.NotContains(t, p.Detail, "wrapped")
			require.Equal(t, want == 503, p.retryAfter > 0)
		}
	}
}

// failing is a fixture with one more page, which does what handler does.
func failing(t testing.TB, handler func(*fixture, *gin.Context) error, change func(*Options)) *fixture {
	w := newFixture(t, single, change)
	router := w.site.router()
	inside := router.Group("", w.site.limit, w.site.tenant, w.site.sameOrigin, w.site.acquireSlot)
	get(inside, "/failing", w.site.handle(func(c *gin.Context) error { return handler(w, c) }))
	w.handler = gzhttp.GzipHandler(router)
	return w
}

// A handler that forgets the context is stopped by the scope; the person sees a 500, the log the stack.
func TestForgottenTenantIsA500(t *testing.T) {
	t.Parallel()
	w := failing(t, func(w *fixture, _ *gin.Context) error {
		//tenantvet:ignore the mistake under test
		return w.gorm.WithContext(context.Background()).Find(&[]models.Subtask{}).Error
	}, func(o *Options) { o.Metrics = prometheus.NewRegistry() })
	response := w.ask(t, "GET tenant-0.localhost /failing", "X-Request-ID: from-the-proxy-1")
	body := bodyOf(t, response)
	require.Equal(t, 500, response.StatusCode)
	require.Equal(t, "from-the-proxy-1", response.Header.Get("X-Request-ID"))
	require.Contains(t, body, "from-the-proxy-1")
	require.Contains(t, body, "tenanted.css")
	require.NotContains(t, body, "tenant in the context")
	log := w.log.String()
	require.Contains(t, log, "query of Subtask without a tenant in the context")
	require.Contains(t, log, "errors_test.go", "the stack")
	require.Contains(t, log, "request_id=from-the-proxy-1")
	require.Contains(t, log, "tenant=tenant-0")
	require.Contains(t, w.page(t, "GET localhost /metrics"), "tenanted_scope_violations_total 1")
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/").StatusCode)
}

func TestPanicWithoutAnErrorIsA500(t *testing.T) {
	t.Parallel()
	w := failing(t, func(*fixture, *gin.Context) error { panic("so be it") }, nil)
	response := w.ask(t, "GET tenant-0.localhost /failing", "Accept: application/json")
	require.Equal(t, 500, response.StatusCode)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, response)), &p))
	require.Equal(t, response.Header.Get("X-Request-ID"), p.RequestID)
	require.Contains(t, w.log.String(), "so be it")
}

func TestTimeoutIsA503(t *testing.T) {
	t.Parallel()
	w := failing(t, func(w *fixture, c *gin.Context) error {
		return w.gorm.WithContext(c.Request.Context()).Exec("select pg_sleep(30)").Error
	}, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	response := w.ask(t, "GET tenant-0.localhost /failing")
	require.Equal(t, 503, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Contains(t, bodyOf(t, response), "took too long")
}

// hanging is a directory that does not answer.
type hanging struct{}

func (hanging) Lookup(ctx context.Context, _ string) (scopes.Tenant, error) {
	<-ctx.Done()
	return scopes.Tenant{}, ctx.Err()
}

func TestDirectoryThatHangsIsA503(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, func(o *Options) {
		o.Directory, o.Timeout, o.Metrics = hanging{}, 50*time.Millisecond, prometheus.NewRegistry()
	})
	for _, path := range []string{"/subtasks/", "/nope/", "/metrics"} {
		response := w.ask(t, "GET tenant-0.localhost "+path)
		require.Equal(t, 503, response.StatusCode, path)
		require.Contains(t, bodyOf(t, response), "took too long")
	}
}

func TestClientThatLeftGetsNothing(t *testing.T) {
	t.Parallel()
	w := failing(t, func(w *fixture, c *gin.Context) error {
		return w.gorm.WithContext(c.Request.Context()).Exec("select pg_sleep(30)").Error
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	require.Equal(t, statusClientGone, w.askAs(ctx, "tenant-0.localhost", "/failing"))
	require.NotContains(t, w.log.String(), "request failed")
}

// Every connection is cut, and none is let in: the pages say so, and come back by themselves.
func TestDatabaseAwayIsA503AndComesBack(t *testing.T) {
	t.Parallel()
	if pgtest.HasCitus() {
		t.Skip("it takes a database away that is not this test's alone")
	}
	w := newFixture(t, single, nil)
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/").StatusCode)
	reader := w.as(t, 0, memberID)
	name := pgx.Identifier{w.db.Name}.Sanitize()
	super := w.db.Config(pgtest.Superuser)
	super.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), super)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	for _, sql := range []string{"alter database " + name + " allow_connections false",
		"select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + w.db.Name + "'"} {
		_, err = conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for _, line := range []string{"GET tenant-0.localhost /subtasks/", "GET tenant-0.localhost /projects/", "GET localhost /subtasks/",
		"POST tenant-0.localhost /subtask/1/complete"} {
		response := w.send(t, line, "complete=true", form, reader)
		require.Equal(t, 503, response.StatusCode, line)
		require.Regexp(t, "^[1-5]$", response.Header.Get("Retry-After"))
		require.Contains(t, bodyOf(t, response), "The database can&#39;t be reached.")
	}
	require.Equal(t, 200, w.ask(t, "GET localhost /tenants/").StatusCode)
	require.Equal(t, 200, w.ask(t, "GET localhost /healthz").StatusCode)
	_, err = conn.Exec(t.Context(), "alter database "+name+" allow_connections true")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.ask(t, "GET tenant-0.localhost /subtasks/").StatusCode == 200 }, 20*time.Second, 10*time.Millisecond)
}

// Clients are told when a database that is away is tried again.
func TestRetryAfterOfADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]int{-time.Second: 1, 100 * time.Millisecond: 1, 2900 * time.Millisecond: 3} {
		p := describe(&scopes.DatabaseAwayError{RetryAt: time.Now().Add(in), Err: errors.New("secret")})
		require.Equal(t, 503, p.Status)
		require.Equal(t, want, p.retryAfter)
		require.NotContains(t, p.Detail, "secret")
	}
}

func TestReadyAsksWhetherItIs(t *testing.T) {
	t.Parallel()
	down := errors.New("secret: down")
	w := newFixture(t, single, func(o *Options) { o.Ready = func(context.Context) error { return down } })
	response := w.ask(t, "GET 10.0.0.7 /readyz")
	require.Equal(t, 503, response.StatusCode)
	require.Equal(t, "not ready\n", bodyOf(t, response))
	require.Contains(t, w.log.String(), "secret: down")
	require.Equal(t, 200, w.ask(t, "GET 10.0.0.7 /healthz").StatusCode)
	down = nil
	require.Equal(t, 200, w.ask(t, "HEAD 10.0.0.7 /readyz").StatusCode)
}

func TestAccessLogHasOneLineARequest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newFixture(t, single, func(o *Options) { o.AccessLog = slog.New(slog.NewJSONHandler(&log, nil)) })
	for _, c := range []struct {
		line, tenant string
		status       int
	}{
		{"GET tenant-0.localhost /subtasks/?q=private", "tenant-0", 200},
		{"GET localhost /tenants/", "", 200},
		{"GET evil.com /x", "", 400},
	} {
		log.Reset()
		w.ask(t, c.line, "X-Request-ID: <script>")
		var line map[string]any
		require.NoError(t, json.Unmarshal(log.Bytes(), &line), "exactly one line of JSON: %s", log.String())
		require.EqualValues(t, c.status, line["status"])
		if c.tenant == "" {
			require.NotContains(t, line, "tenant")
		} else {
			require.Equal(t, c.tenant, line["tenant"])
		}
		require.NotContains(t, log.String(), "private", "what people look for is their own")
		require.Len(t, line["request_id"], 26, "a malformed id is replaced")
	}
}
