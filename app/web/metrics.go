package web

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics count what the site does. No label names a tenant, a path or anything else that a client
// chooses, so their number is bounded.
type metrics struct {
	requests   *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	refusals   *prometheus.CounterVec
	violations prometheus.Counter
}

// newMetrics registers the metrics with registry. With nil they count too, but are not shown.
func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenanted_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenanted_http_request_duration_seconds", Help: "Time from a request's headers to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenanted_http_refused_total", Help: "Requests refused with 503 because too many were under way, of all or of one tenant.",
		}, []string{"bound"}),
		violations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tenanted_scope_violations_total", Help: "Statements refused because no tenant was in their context.",
		}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.latency, m.refusals, m.violations} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) request(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, known(method), strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

// known returns the method if it is one that we serve.
func known(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "OPTIONS":
		return method
	}
	return "other"
}

func (m *metrics) refused(bound string) { m.refusals.WithLabelValues(bound).Inc() }

func (m *metrics) violation() { m.violations.Inc() }

// showMetrics writes all metrics, in Prometheus' format, on the bare domain.
func (s *site) showMetrics(c *gin.Context) error {
	if s.Metrics == nil || !onBareDomain(c) {
		return s.notFound(c)
	}
	promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(c.Writer, c.Request)
	return nil
}
