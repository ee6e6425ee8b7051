package web

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where nobody can be an operator, nobody sees what is theirs: it is not open for the lack of a lock. What operators do is tested with
// a whole program, in app/cli.
func TestWithoutOperatorsTheBareDomainIsClosed(t *testing.T) {
	eachConfiguration(t, func(o *Options) { o.SignInRequired = true }, func(t *testing.T, w *fixture) {
		for _, path := range []string{"/", "/tenants/", "/subtasks/", "/subtasks/1/", "/tenants/tenant-0/"} {
			answer := w.ask(t, "GET localhost "+path, w.as(t, 0, adminID))
			require.Equal(t, 303, answer.StatusCode, path)
			require.True(t, strings.HasPrefix(answer.Header.Get("Location"), signInPath), path)
		}
		for _, path := range []string{"/tenants.json", "/subtasks.json"} {
			answer := w.ask(t, "GET localhost "+path, w.as(t, 0, adminID))
			require.Equal(t, 401, answer.StatusCode, path)
			require.NotContains(t, bodyOf(t, answer), "tenant-")
		}
		require.Equal(t, 303, w.ask(t, "POST localhost /tenants/tenant-0/suspend").StatusCode)
		require.Equal(t, 404, w.ask(t, "GET localhost /sign-in/").StatusCode)
		require.Equal(t, 404, w.ask(t, "GET tenant-0.localhost /sign-in-as/?link=x").StatusCode)
		require.NotContains(t, w.page(t, "GET tenant-0.localhost /subtasks/", w.as(t, 0, memberID)), "All tenants", "its users have no business there")
	})
}
