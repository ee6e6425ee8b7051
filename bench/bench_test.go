package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseResult(t *testing.T) {
	t.Parallel()
	name, r, ok := parseResult("BenchmarkRead/tenanted-2   \t 778\t 825451 ns/op\t 1.000 roundtrips/op\t 10161 B/op\t 219 allocs/op")
	require.True(t, ok)
	require.Equal(t, "Read/tenanted", name)
	require.Equal(t, result{ns: 825451, allocs: 219, trips: 1}, r)
	for _, line := range []string{"", "PASS", "ok  \ttenanted/scopes\t3.3s", "BenchmarkRead", "--- FAIL: BenchmarkRead"} {
		_, _, ok := parseResult(line)
		require.False(t, ok, line)
	}
}

func TestPlansIn(t *testing.T) {
	t.Parallel()
	const log = `2026-11-22 21:15:00.123 UTC [42] LOG:  duration: 0.01 ms  plan:
	Query Text: select set_config('app.tenant_id', $1, true)
	Result  (cost=0.00..0.01 rows=1 width=32)
2026-11-22 21:15:00.124 UTC [42] LOG:  checkpoint starting: time
2026-11-22 21:15:00.125 UTC [42] LOG:  duration: 0.30 ms  plan:
	Query Text: select 1
	  from t
	Seq Scan on t
	  Filter: true
`
	require.Equal(t, []string{"duration: 0.30 ms\nQuery Text: select 1\n  from t\nSeq Scan on t\n  Filter: true\n"}, plansIn(log))
}

func TestMedians(t *testing.T) {
	t.Parallel()
	m := medianOf([]figures{
		{rate: 3, p50: 1, latencies: []time.Duration{5}},
		{rate: 1, p50: 9, latencies: []time.Duration{4, 6}},
		{rate: 2, p50: 2},
	})
	require.Equal(t, figures{rate: 2, p50: 2, latencies: []time.Duration{4, 5, 6}}, m)
}

func TestSignificant(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{"0.12": 0.123, "1.23": 1.234, "12.3": 12.34, "1234": 1234.4} {
		require.Equal(t, want, significant(v))
	}
}
