package cli_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/app/cli"
	"tenanted/app/config"
)

// runWith runs a command that reads a text.
func (w *fixture) runWith(t *testing.T, in string, args ...string) result {
	t.Helper()
	var out, errs output
	code := cli.Run(context.WithoutCancel(t.Context()), args, cli.IO{Environ: w.environ, Dir: w.dir, In: strings.NewReader(in), Out: &out, Err: &errs})
	return result{code, out.String(), errs.String()}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.SingleSchema)
	w.fails(t, 1, "run `tenanted migrate`", "operators", "list")
	w.ok(t, "migrate")
	require.Empty(t, w.ok(t, "operators", "list"))
	require.Equal(t, "[]\n", w.ok(t, "operators", "list", "--format", "json"))

	made := w.ok(t, "operators", "add", "ann")
	require.Regexp(t, `\Aoperator ann may sign in\npassword: [A-Z2-7]{26}\n\z`, made)
	require.NotEqual(t, made, w.ok(t, "operators", "add", "bob@example.com"))
	given := w.runWith(t, "correct horse battery\nmore\n", "operators", "add", "carl", "--password-stdin")
	require.Equal(t, result{0, "operator carl may sign in\n", ""}, given, "a password that was given is not shown")
	require.Regexp(t, regexp.MustCompile(`(?s)\ANAME +ADDED +SIGNED IN\nann .* no\nbob@example\.com .* no\ncarl .* no\n\z`), w.ok(t, "operators", "list"))

	w.fails(t, 1, `operator "ann" exists: choose another name, or give a new password with `, "operators", "add", "ann")
	w.fails(t, 1, `there is no operator "dora": `, "operators", "remove", "dora")
	w.fails(t, 1, `there is no operator "dora": `, "operators", "password", "dora")
	w.fails(t, 2, "is not an operator's name", "operators", "add", "Ann")
	w.fails(t, 2, "is not an operator's name", "operators", "add", "")
	w.fails(t, 2, "takes the operator's name, and was given 2 arguments", "operators", "add", "dora", "secret-password")
	for _, short := range []string{"", "\n", "seven77\n"} {
		r := w.runWith(t, short, "operators", "add", "dora", "--password-stdin")
		require.Equal(t, result{2, "", "tenanted: --password-stdin: a password has at least 8 letters\n"}, r)
	}
	require.Contains(t, w.ok(t, "operators", "password", "ann"), "operator ann has a new password\npassword: ")
	require.Equal(t, "operator ann may sign in no longer\n", w.ok(t, "operators", "remove", "ann"))

	require.NotContains(t, w.ok(t, "operators", "list"), "ann")
	log := w.ok(t, "tenants", "log")
	for _, want := range []string{`operators add +done +ann`, `operators add +done +carl`, `operators password +done +ann`, `operators remove +done +ann`} {
		require.Regexp(t, want, log)
	}
	require.NotContains(t, log, "dora")
	w.with("PGOWNER=").fails(t, 2, "PGOWNER: is not set", "operators", "list")
}
