package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
	"tenanted/scopes/pgtest"
)

func TestProgramName(t *testing.T) {
	t.Parallel()
	cached := "/home/me/.cache/go-build/ab/" + strings.Repeat("ab", 32) + "-d/tenanted"
	for _, test := range []struct{ arg0, executable, want string }{
		{"tenanted", "/usr/local/bin/tenanted", "tenanted"},
		{"./tenanted", "/home/me/src/tenanted", "./tenanted"},
		{"/opt/site/tracker", "/opt/site/tracker", "/opt/site/tracker"},
		{"/tmp/go-build123/b001/exe/tenanted", "/tmp/go-build123/b001/exe/tenanted", "go run ."},
		{cached, cached, "go run ."},
		{"./exe/tenanted", "/home/me/exe/tenanted", "./exe/tenanted"},
		{"./my programs/tenanted", "/home/me/my programs/tenanted", "'./my programs/tenanted'"},
		{"", "", "tenanted"},
	} {
		require.Equal(t, test.want, cli.ProgramName(test.arg0, test.executable), test.arg0)
	}
}

// Wherever a command is advised, it can be typed as it stands.
func TestAdviceNamesTheProgramAsItWasCalled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"go run .", "./tracker"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, config.MultipleDb)
			w.program = name
			for _, command := range []string{"serve", "migrate", "seed", "check", "tenants list", "tenants adopt", "dbshell"} {
				help := w.ok(t, append(strings.Fields(command), "--help")...)
				require.Contains(t, help, "Usage:\n  "+name+" "+command)
				require.Regexp(t, `Examples:\n  (\w+=\w+ )?`+regexp.QuoteMeta(name+" "+command), help)
				require.NotContains(t, help, "tenanted "+command)
			}
			for _, wrong := range []string{"serve now", "serve --nonsense", "dbshell select"} {
				require.Contains(t, w.run(t, strings.Fields(wrong)...).err, "`"+name+" ")
			}
			w.fails(t, 1, "run `"+name+" migrate`", "tenants", "list")
			w.ok(t, "migrate")
			s := w.serve(t)
			require.Contains(t, s.out.String(), "`"+name+" seed` makes some")
			_, page := s.get(t, "localhost", "/tenants/")
			require.Contains(t, page, name+" seed")
			require.Zero(t, s.end(t))
			w.seesAdvice(t)
		})
	}
}

// seesAdvice breaks two tenants.
func (w *fixture) seesAdvice(t *testing.T) {
	t.Helper()
	migrate, adopt := "`"+w.program+" migrate`", "`"+w.program+" tenants adopt`"
	w.ok(t, "seed")
	w.db.Exec(t, pgtest.Owner, fmt.Sprintf(`drop database "%s_tenant-1"`, w.db.Name))
	w.db.Exec(t, pgtest.Owner, `update control.tenants set database = 'postgres' where slug = 'tenant-2'`)
	report := w.run(t, "check").out
	require.Contains(t, report, migrate)
	require.Contains(t, report, adopt)
	s := w.serve(t)
	for _, tenant := range []string{"tenant-1", "tenant-2"} {
		s.get(t, tenant+".localhost", "/")
	}
	_, ready := s.get(t, "localhost", "/readyz")
	require.Contains(t, ready, migrate)
	require.Contains(t, ready, adopt)
	require.Zero(t, s.end(t))
	require.NotContains(t, report+ready+s.errs.String(), "`tenanted ")
}
