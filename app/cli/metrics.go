package cli

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tenanted/app/tenancy"
	"tenanted/scopes/registry"
)

// shownDatabases bounds how many databases have metrics of their own: those with the most connections. The others are added
// up as "other", which bounds the number of time series with any number of tenants.
const shownDatabases = 50

// versionsTime is how long the directory may take to say how many placements are at which version.
const versionsTime = 2 * time.Second

// metricsOf returns the process's metrics, the connections' and the directory's. No label is a tenant; in MultipleDb,
// though, a database's name has the slug in it.
func metricsOf(app *tenancy.Tenancy) *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		tenancyMetrics{app},
	)
	return metrics
}

// tenancyMetrics reads the figures when they are asked for.
type tenancyMetrics struct{ app *tenancy.Tenancy }

var (
	connsDesc      = prometheus.NewDesc("tenanted_db_connections", "Connections to PostgreSQL.", []string{"server", "database", "state"}, nil)
	connsMaxDesc   = prometheus.NewDesc("tenanted_db_connections_max", "The bound over all databases of a server.", []string{"server"}, nil)
	waitsDesc      = prometheus.NewDesc("tenanted_db_waits_total", "Times that a statement waited for a connection.", []string{"server"}, nil)
	waitedDesc     = prometheus.NewDesc("tenanted_db_waited_seconds_total", "Time that statements waited for a connection.", []string{"server"}, nil)
	awayDesc       = prometheus.NewDesc("tenanted_db_away", "Databases that could not be connected to lately.", []string{"server"}, nil)
	lagDesc        = prometheus.NewDesc("tenanted_db_replica_lag_seconds", "How far a replica is behind at most.", []string{"server"}, nil)
	usedDesc       = prometheus.NewDesc("tenanted_db_replica_used", "1 while a replica is read from.", []string{"server"}, nil)
	suspendedDesc  = prometheus.NewDesc("tenanted_db_suspended_tenants", "Tenants refused now since their statements keep timing out.", nil, nil)
	refusedDesc    = prometheus.NewDesc("tenanted_db_refused_total", "Statements refused since their tenant's kept timing out.", nil, nil)
	placementsDesc = prometheus.NewDesc("tenanted_placements", "Placements by the version of their tables, and how it stands to this program's.", []string{"migrations", "version", "state"}, nil)
	lookupsDesc    = prometheus.NewDesc("tenanted_directory_lookups_total", "Lookups of a tenant, by where the answer was.", []string{"answer"}, nil)
	rememberedDesc = prometheus.NewDesc("tenanted_directory_remembered", "Slugs in memory.", []string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (m tenancyMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m tenancyMetrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	counter := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
	}
	conns := m.app.Stats()
	for name, server := range conns.Servers {
		for database, n := range bounded(server.Databases) {
			gauge(connsDesc, n.InUse, name, database, "in use")
			gauge(connsDesc, n.Idle, name, database, "idle")
		}
		gauge(connsMaxDesc, server.MaxOpenConnections, name)
		counter(waitsDesc, float64(server.WaitCount), name)
		counter(waitedDesc, server.WaitDuration.Seconds(), name)
		gauge(awayDesc, len(server.Away), name)
		if replica := server.Replica; replica != nil {
			ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, replica.Lag.Seconds(), name)
			ch <- prometheus.MustNewConstMetric(usedDesc, prometheus.GaugeValue, map[bool]float64{true: 1}[replica.Used], name)
		}
	}
	gauge(suspendedDesc, conns.Suspended)
	counter(refusedDesc, float64(conns.Refused))

	ctx, cancel := context.WithTimeout(context.Background(), versionsTime)
	defer cancel()
	versions, err := m.app.Versions(ctx)
	if err != nil {
		versions = nil // no figure rather than an old one
	}
	for _, v := range versions {
		gauge(placementsDesc, int(v.Placements), string(v.Set), strconv.FormatInt(v.Version, 10), v.State())
	}

	directory := m.app.Directory.Stats()
	counter(lookupsDesc, float64(directory.Remembered), "memory")
	counter(lookupsDesc, float64(directory.Asked), "database")
	gauge(rememberedDesc, directory.Known, "tenant")
	gauge(rememberedDesc, directory.Unknown, "unknown")
}

// bounded returns the figures of the databases that have the most connections, and of the others together.
func bounded(all map[string]registry.DatabaseStats) map[string]registry.DatabaseStats {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b].InUse+all[b].Idle, all[a].InUse+all[a].Idle), cmp.Compare(a, b))
	})
	out := map[string]registry.DatabaseStats{}
	for i, name := range names {
		n := all[name]
		if i >= shownDatabases {
			name = "other"
			n.InUse, n.Idle = n.InUse+out[name].InUse, n.Idle+out[name].Idle
		}
		out[name] = n
	}
	return out
}
