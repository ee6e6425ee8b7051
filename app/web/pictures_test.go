package web

import (
	"fmt"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/internal/browsertest"
)

// TestPictures looks at every kind of page, wide and narrow, light and dark: axe finds nothing on it, and
// it fits the window. Screenshots are for people.
func TestPictures(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	w, address := siteToPicture(t)
	for _, page := range []struct {
		name, host, path string
		status           int
	}{
		{"subtasks", "tenant-0.localhost", "/subtasks/", 200},
		{"empty", "tenant-1.localhost", "/subtasks/?q=nothing+like+that", 200},
		{"projects", "tenant-0.localhost", "/projects/", 200},
		{"tenants", "localhost", "/tenants/", 200},
		{"all", "localhost", "/subtasks/", 200},
		{"not-found", "tenant-9.localhost", "/subtasks/", 404},
		{"sign-in", "tenant-0.localhost", "/sign-in/", 200},
		{"signed-in", "tenant-0.localhost", "/subtasks/", 200},
		{"users", "tenant-0.localhost", "/users/", 200},
		{"password", "tenant-0.localhost", "/account/password/", 200},
		{"tokens", "tenant-0.localhost", "/account/tokens/", 200},
	} {
		t.Run(page.name, func(t *testing.T) {
			t.Parallel()
			tab := browsertest.NewTab(t, chromium)
			if slices.Contains([]string{"signed-in", "users", "password", "tokens"}, page.name) {
				if w == nil && os.Getenv("CI") != "true" {
					t.Skip("nobody is signed in there")
				}
				require.NotNil(t, w)
				w.signInAs(tab, address, 0, adminID)
			}
			for _, width := range []int64{1200, 390} {
				for _, scheme := range []string{"light", "dark"} {
					name := fmt.Sprintf("%s-%d-%s", page.name, width, scheme)
					tab.Look(width, 900, scheme)
					require.Equal(t, page.status, tab.Open(address(page.host, page.path)), name)
					tab.RequireFits(name)
					tab.Picture(name)
					tab.RequireAccessible(name, "html")
				}
			}
		})
	}
}

// siteToPicture returns the addresses of the running site that a flag names, or of a fixture of its own.
func siteToPicture(t testing.TB) (*fixture, addresses) {
	if *siteFlag == "" {
		w := newFixture(t, single, func(o *Options) { o.DemoPassword = passwordOf(0) })
		return w, w.serve(t)
	}
	_, port, err := net.SplitHostPort(*siteFlag)
	require.NoError(t, err)
	return nil, func(host, path string) string { return "http://" + host + ":" + port + path }
}
