package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/internal/browsertest"
)

// TestJourney is a person's way through the site in a real browser, in each configuration, with
// JavaScript switched off.
func TestJourney(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, configuration, nil)
			address := w.serve(t)
			b := browsertest.NewTab(t, chromium)
			b.WithoutScripts()
			b.Look(1200, 900, "light")
			lookAround(b, address)
			searchAndMark(b, address)
			seeOtherTenant(t, b, b.Beside(), address)
			onAPhone(b, address)
		})
	}
}

type addresses = func(host, path string) string

// lookAround opens the list and turns pages, forward and back.
func lookAround(b *browsertest.Tab, address addresses) {
	require.Equal(b.T, 200, b.Open(address("tenant-0.localhost", "/")))
	require.Equal(b.T, "/subtasks/", b.At())
	require.Equal(b.T, 10, b.Count("tbody tr"))
	b.Click(`a[rel="next"]`)
	require.Equal(b.T, "/subtasks/2/", b.At())
	require.Contains(b.T, b.Text(".pages p"), "Page 2 of 11")
	b.Click(`a[aria-label="Page 11"]`)
	require.Equal(b.T, 5, b.Count("tbody tr"))
	b.Do(chromedp.NavigateBack())
	require.Equal(b.T, "/subtasks/2/", b.At())
	require.Equal(b.T, "2", strings.TrimSpace(b.Text(".pages [aria-current]")))
}

// searchAndMark narrows the list, opens a long text, marks a row done, and undoes it.
func searchAndMark(b *browsertest.Tab, address addresses) {
	b.Open(address("tenant-0.localhost", "/subtasks/"))
	b.Press(`input[name="q"]`, "CHAPTER 1")
	b.Press(`select[name="project"]`, kb.End) // the third
	b.Click(".filters button")
	require.Equal(b.T, "/subtasks/?q=CHAPTER+1&project=3&sort=name", b.At())
	b.Click(`.tabs a[href*="status=open"]`)
	require.Equal(b.T, "/subtasks/?project=3&q=CHAPTER+1&status=open", b.At())
	require.Equal(b.T, strings.TrimPrefix(strings.TrimSpace(b.Text(".tabs [aria-current]")), "Open "), strings.Fields(strings.Trim(b.Text(".pages small"), "()"))[0])
	rows := b.Count("tbody tr")
	require.Positive(b.T, rows)
	require.Equal(b.T, rows, strings.Count(b.Text("tbody"), "Project #3"))

	require.Equal(b.T, 0, b.Count("details.more[open]"))
	b.Do(chromedp.Click(chromedp.CSS("details.more summary")), chromedp.WaitVisible(chromedp.CSS("details.more[open]")))

	name, total := strings.TrimSpace(b.Text("tbody th")), b.Text(".pages small")
	view := b.At()
	b.Click("tbody button")
	require.Contains(b.T, b.At(), "/sign-in/?next=", "nobody changes anything")
	signInByForm(b, memberEmail, passwordOf(0))
	require.Equal(b.T, view, b.At(), "back where the reader was")
	require.Contains(b.T, b.Text(".reader summary"), "U2 of 0")
	b.Click("tbody button")
	require.Equal(b.T, "row-1", browsertest.Evaluate[string](b, "document.activeElement.id"), "the keyboard is where it was")
	require.Contains(b.T, b.At(), "q=CHAPTER+1", "back to the same view")
	require.Contains(b.T, b.Text(".flash p"), "“"+name+"”")
	require.Contains(b.T, b.Text(".flash"), "is done.")
	b.Picture("marked-done")
	require.NotEqual(b.T, total, b.Text(".pages small"), "a done row is not among the open ones")
	b.Click(".flash button")
	require.Contains(b.T, b.Text(".flash"), "is open again.")
	require.Equal(b.T, total, b.Text(".pages small"))
	b.Do(chromedp.Reload())
	require.Equal(b.T, 0, b.Count(".flash"), "the message shows once")
}

// signInByForm fills in the form for signing in.
func signInByForm(b *browsertest.Tab, email, password string) {
	b.Press(`input[type="email"]`, email)
	b.Press(`input[type="password"]`, password)
	b.Click(`.narrow button[type="submit"]`)
}

// seeOtherTenant opens another tenant's address in a second tab of the same browser, after a change in the
// first, signs in there with the same email, and out here.
func seeOtherTenant(t *testing.T, b, other *browsertest.Tab, address addresses) {
	require.Equal(t, 200, other.Open(address("tenant-1.localhost", "/subtasks/?size=100")))
	require.Equal(t, 0, other.Count(".flash"))
	require.Equal(t, 35, other.Count("tbody tr"))
	text := other.Text("body")
	require.Contains(t, text, "Account #2")
	for _, foreign := range []string{"Account #1", "tenant-0", "Project #2", "Company <0>"} {
		require.NotContains(t, text, foreign)
	}
	require.Equal(t, 0, other.Count(".reader"), "who is signed in at one tenant is nobody at another")
	other.Click(`nav a[href^="/sign-in/"]`)
	signInByForm(other, memberEmail, passwordOf(0))
	require.Contains(t, other.Text(".form-problem"), "The email or the password is wrong.", "the other tenant's password of the same email")
	signInByForm(other, "", passwordOf(1)) // the email is still there
	require.Equal(t, "/subtasks/?size=100", other.At())
	require.Contains(t, other.Text(".reader summary"), "U2 of 1")
	b.Load(address("tenant-0.localhost", "/subtasks/"))
	require.Contains(t, b.Text(".reader summary"), "U2 of 0", "both at once")
	b.Do(chromedp.Click(chromedp.CSS(".reader summary")))
	b.Click(`.reader form button`)
	require.Equal(t, 0, b.Count(".reader"), "signed out here")
	other.Do(chromedp.Reload())
	require.Contains(t, other.Text(".reader summary"), "U2 of 1", "and not there")
	require.Equal(t, 404, other.Open(address("tenant-1.localhost", "/subtasks/?project=3")))
	require.Equal(t, 404, other.Open(address("tenant-7.localhost", "/")))
	require.Contains(t, other.Text("main"), "No account has the address “tenant-7”.")
}

// onAPhone goes from the tenants into one of them, on a narrow dark screen, and by keyboard.
func onAPhone(b *browsertest.Tab, address addresses) {
	b.Look(390, 900, "dark")
	b.Open(address("localhost", "/tenants/"))
	b.RequireFits("tenants")
	b.Click("tbody a")
	require.Equal(b.T, "/subtasks/", b.At())
	b.RequireFits("subtasks")
	b.Click(`nav a[href="/projects/"]`)
	require.Equal(b.T, 3, b.Count("tbody .bar"))
	b.RequireFits("projects")
	b.Click("tbody a")
	require.Equal(b.T, "/project/1/", b.At())
	b.RequireFits("project")

	b.Do(chromedp.KeyEvent(kb.Tab))
	require.Equal(b.T, "Skip to the content", browsertest.Evaluate[string](b, "document.activeElement.textContent"))
	b.Do(chromedp.KeyEvent(kb.Enter))
	require.Equal(b.T, "main", browsertest.Evaluate[string](b, "location.hash.slice(1)"))
}
