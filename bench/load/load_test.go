package load

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Parallel()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestClosedLoad(t *testing.T) {
	var hosts [2]atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hosts[strings.Index("ab", r.Host)].Add(1)
		_, _ = w.Write([]byte("12345"))
	})
	r, err := Run(t.Context(), Load{Addr: addr, Requests: []Request{{Host: "a", Path: "/"}, {Host: "b", Path: "/"}}, Clients: 3, Duration: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstErr)
	require.NotEmpty(t, r.Latencies)
	require.EqualValues(t, 5*len(r.Latencies), r.Bytes)
	require.InDelta(t, hosts[0].Load(), hosts[1].Load(), 3, "in turn")
	require.LessOrEqual(t, r.Quantile(0.5), r.Quantile(0.99))
	require.InDelta(t, float64(len(r.Latencies))/r.Elapsed.Seconds(), r.PerSecond(), 0.1)
}

func TestOpenLoadCountsTheWaitForAStalledServer(t *testing.T) {
	const stall = 200 * time.Millisecond
	var stalled atomic.Bool
	addr := serve(t, func(http.ResponseWriter, *http.Request) {
		if stalled.CompareAndSwap(false, true) {
			time.Sleep(stall)
		}
	})
	r, err := Run(t.Context(), Load{Addr: addr, Requests: []Request{{Host: "a", Path: "/"}}, Clients: 1, Rate: 100, Duration: 2 * stall})
	require.NoError(t, err)
	require.Greater(t, r.Quantile(0.75), stall/4, "the twenty requests that were due meanwhile waited, half of them long")
}

func TestErrorsAreNotAnswers(t *testing.T) {
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	r, err := Run(t.Context(), Load{Addr: addr, Requests: []Request{{Host: "a", Path: "/x"}}, Clients: 1, Duration: 20 * time.Millisecond})
	require.NoError(t, err)
	require.Empty(t, r.Latencies)
	require.Positive(t, r.Errors)
	require.ErrorContains(t, r.FirstErr, "a/x answered 418")
}

func TestUnsentRequestsOfAnOpenLoad(t *testing.T) {
	addr := serve(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
	r, err := Run(t.Context(), Load{Addr: addr, Requests: []Request{{Host: "a", Path: "/"}}, Clients: 1, Rate: 1000, Duration: 100 * time.Millisecond})
	require.NoError(t, err)
	require.Equal(t, 100, r.Unsent+len(r.Latencies))
	require.Greater(t, r.Unsent, 80)
}

func TestRefusesALoadOfNothing(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Load{})
	require.Error(t, err)
}
