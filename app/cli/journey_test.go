package cli_test

import (
	"net"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/internal/browsertest"
)

// TestJourney is an operator's way through the bare domain and into a tenant, in a real browser.
func TestJourney(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	w, s := required(t, newFixture(t, config.Mixed))
	_, password, _ := strings.Cut(w.ok(t, "operators", "add", "ann"), "password: ")
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	b := browsertest.NewTab(t, chromium)
	look := func(name string) {
		t.Helper()
		for _, size := range []struct {
			width  int64
			scheme string
		}{{1200, "light"}, {390, "dark"}} {
			b.Look(size.width, 900, size.scheme)
			b.RequireFits(name)
			b.Picture(name + "-" + size.scheme)
			b.RequireAccessible(name, "html")
		}
		b.Look(1200, 900, "light")
	}
	b.Open("http://localhost:" + port + "/tenants/")
	require.Equal(t, "/sign-in/?next=%2Ftenants%2F", b.At())
	look("operator-sign-in")
	b.Press(`input[name="name"]`, "ann")
	b.Press(`input[name="password"]`, strings.TrimSpace(password))
	b.Click("main button")
	require.Equal(t, "/tenants/", b.At())
	require.Contains(t, b.Text(".reader summary"), "ann")

	b.Press(`input[name="slug"]`, "www")
	b.Press(`input[name="name"]`, "Acme Ltd")
	b.Click("form[action='/tenants/#create'] button")
	require.Contains(t, b.Text(".field-problem"), "The slug is reserved")
	require.Equal(t, "Acme Ltd", browsertest.Evaluate[string](b, `document.querySelector("input[name=name]").value`))
	look("operator-create-wrong")
	b.Press(`input[name="slug"]`, kb.Delete+kb.Delete+kb.Delete+"acme")
	b.Click("form[action='/tenants/#create'] button")
	require.Equal(t, "/tenants/acme/", b.At())
	b.Click("form[action$='/suspend'] button")
	require.Equal(t, "/tenants/acme/", b.At())
	require.Contains(t, b.Text(".facts"), "suspended")
	look("operator-suspended")
	b.Click("form[action$='/resume'] button")
	require.Contains(t, b.Text(".facts"), "active")

	b.Open("http://localhost:" + port + "/tenants/")
	look("operator-tenants")
	b.Click(`a[href="/tenants/tenant-0/"]`)
	b.Press(`input[name="reason"]`, "ticket 12")
	b.Do(chromedp.Click(chromedp.CSS(".plain-choice input")))
	b.Click("form[action*='/sign-in-as'] button")
	look("operator-link")
	b.Click(".secret a")
	require.Contains(t, b.At(), "/sign-in-as/?link=")
	look("operator-sign-in-as")
	b.Click("main button")
	require.Equal(t, "/subtasks/", b.At())
	look("signed-in-as")
	b.Click(`a[href="/users/"]`)
	require.Contains(t, b.Text(".signed-in-as"), "ann is signed in as ")
	b.Click(".signed-in-as button")
	require.Equal(t, "/sign-in/", b.At())
	require.Zero(t, b.Count(".signed-in-as"))
	b.Open("http://localhost:" + port + "/tenants/tenant-0/")
	require.Contains(t, b.Text("tbody"), "sign in as: end")
	require.Zero(t, s.end(t))
}
