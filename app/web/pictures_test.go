package web

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPictures looks at every kind of page, wide and narrow, light and dark: axe finds nothing on it, and
// it fits the window. Screenshots are for people.
func TestPictures(t *testing.T) {
	t.Parallel()
	chromium := browser(t)
	w := newWorld(t, single, nil)
	address := w.serve(t)
	for _, page := range []struct {
		name, host, path string
		status           int
	}{
		{"subtasks", "tenant-0.localhost", "/subtasks/", 200},
		{"subtasks-middle", "tenant-0.localhost", "/subtasks/6/?status=open&size=10", 200},
		{"empty", "tenant-2.localhost", "/subtasks/", 200},
		{"projects", "tenant-0.localhost", "/projects/", 200},
		{"tenants", "localhost", "/tenants/", 200},
		{"all", "localhost", "/subtasks/", 200},
		{"not-found", "tenant-9.localhost", "/subtasks/", 404},
		{"bad-host", "127.0.0.1", "/", 400},
	} {
		t.Run(page.name, func(t *testing.T) {
			t.Parallel()
			tab := newTab(t, chromium)
			for _, width := range []int64{1200, 390} {
				for _, scheme := range []string{"light", "dark"} {
					name := fmt.Sprintf("%s-%d-%s", page.name, width, scheme)
					tab.look(width, scheme)
					require.Equal(t, page.status, tab.open(address(page.host, page.path)), name)
					tab.requireNoSidewaysScroll(name)
					tab.picture(name)
					tab.requireAccessible(name)
				}
			}
		})
	}
}
