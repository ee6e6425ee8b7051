package web

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
)

// askAs sends a request with a context, and returns the status that was set.
func (w *fixture) askAs(ctx context.Context, host, path string) int {
	r := httptest.NewRequestWithContext(ctx, "GET", path, nil)
	r.Host = host
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return recorder.Code
}

// One tenant sends forty requests that hang; another one is served all the while, health too, and the
// first gets 503 for what is too much.
func TestOneTenantCannotTakeWhatOthersNeed(t *testing.T) {
	t.Parallel()
	release, registry := make(chan struct{}), prometheus.NewRegistry()
	w := failing(t, func(*fixture, *gin.Context) error { <-release; return nil }, func(o *Options) {
		o.MaxRequests, o.MaxPerTenant, o.MaxWait, o.Metrics = 32, 4, 100*time.Millisecond, registry
	})
	statuses := make(chan int, 40)
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() { statuses <- w.askAs(t.Context(), "tenant-0.localhost", "/failing") })
	}
	require.Eventually(t, func() bool { return len(statuses) == 36 }, 5*time.Second, time.Millisecond, "all but four are refused")
	require.Equal(t, 200, w.ask(t, "GET tenant-1.localhost /subtasks/").StatusCode)
	require.Equal(t, 200, w.ask(t, "GET localhost /healthz").StatusCode)
	busy := w.ask(t, "GET tenant-0.localhost /subtasks/")
	require.Equal(t, 503, busy.StatusCode)
	require.Equal(t, "1", busy.Header.Get("Retry-After"))
	metrics := w.page(t, "GET localhost /metrics")
	require.Contains(t, metrics, `tenanted_http_refused_total{bound="tenant"} `)
	close(release)
	group.Wait()
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/").StatusCode)
	require.Zero(t, w.site.limiter.Inside())
}

// Who leaves while waiting for a turn was not refused.
func TestLeavingIsNoRefusal(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, func(o *Options) { o.MaxPerTenant, o.Metrics = 1, prometheus.NewRegistry() })
	done, err := w.site.limiter.Acquire(scopes.WithTenant(t.Context(), w.tenants[0]))
	require.NoError(t, err)
	defer done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, statusClientGone, w.askAs(ctx, "tenant-0.localhost", "/subtasks/"))
	require.NotContains(t, w.page(t, "GET localhost /metrics"), "tenanted_http_refused_total{")
}

func TestTooManyRequestsAltogether(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := failing(t, func(*fixture, *gin.Context) error { <-release; return nil }, func(o *Options) { o.MaxRequests, o.MaxPerTenant = 2, 1 })
	var group sync.WaitGroup
	for _, host := range []string{"tenant-0.localhost", "tenant-1.localhost"} {
		group.Go(func() { w.askAs(t.Context(), host, "/failing") })
	}
	require.Eventually(t, func() bool { return w.site.limiter.Inside() == 2 }, 5*time.Second, time.Millisecond)
	response := w.ask(t, "GET tenant-2.localhost /subtasks/")
	require.Equal(t, 503, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Equal(t, 200, w.ask(t, "GET localhost /healthz").StatusCode)
	close(release)
	group.Wait()
}
