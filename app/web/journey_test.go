package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// TestJourney is a person's way through the site in a real browser, in each configuration, with
// JavaScript switched off.
func TestJourney(t *testing.T) {
	t.Parallel()
	chromium := browser(t)
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, configuration, nil)
			address := w.serve(t)
			b := newTab(t, chromium)
			b.withoutScripts()
			b.look(1200, "light")
			lookAround(b, address)
			searchAndMark(b, address)
			seeOtherTenant(t, newTabBeside(b), address)
			onAPhone(b, address)
		})
	}
}

type addresses = func(host, path string) string

// lookAround opens the list and turns pages, forward and back.
func lookAround(b *tab, address addresses) {
	require.Equal(b.t, 200, b.open(address("tenant-0.localhost", "/")))
	require.Equal(b.t, "/subtasks/", b.at())
	require.Equal(b.t, 10, b.count("tbody tr"))
	b.click(`a[rel="next"]`)
	require.Equal(b.t, "/subtasks/2/", b.at())
	require.Contains(b.t, b.text(".pages p"), "Page 2 of 11")
	b.click(`a[aria-label="Page 11"]`)
	require.Equal(b.t, 5, b.count("tbody tr"))
	b.do(chromedp.NavigateBack())
	require.Equal(b.t, "/subtasks/2/", b.at())
	require.Equal(b.t, "2", strings.TrimSpace(b.text(".pages [aria-current]")))
}

// searchAndMark narrows the list, opens a long text, marks a row done, and undoes it.
func searchAndMark(b *tab, address addresses) {
	b.open(address("tenant-0.localhost", "/subtasks/"))
	b.press(`input[name="q"]`, "CHAPTER 1")
	b.press(`select[name="status"]`, kb.ArrowDown) // open
	b.press(`select[name="project"]`, kb.End)      // the third
	b.click(".filters button")
	require.Equal(b.t, "/subtasks/?q=CHAPTER+1&status=open&project=3&sort=name&size=10", b.at())
	rows := b.count("tbody tr")
	require.Positive(b.t, rows)
	require.Equal(b.t, rows, strings.Count(b.text("tbody"), "Project #3"))

	require.Equal(b.t, 0, b.count("details[open]"))
	b.do(chromedp.Click(chromedp.CSS("details summary")), chromedp.WaitVisible(chromedp.CSS("details[open]")))

	name, total := strings.TrimSpace(b.text("tbody th")), b.text(".pages small")
	b.click("tbody button")
	require.Equal(b.t, "row-1", evaluate[string](b, "document.activeElement.id"), "the keyboard is where it was")
	require.Contains(b.t, b.at(), "q=CHAPTER+1", "back to the same view")
	require.Contains(b.t, b.text(".flash p"), "“"+name+"”")
	require.Contains(b.t, b.text(".flash"), "is done.")
	b.picture("marked-done")
	require.NotEqual(b.t, total, b.text(".pages small"), "a done row is not among the open ones")
	b.click(".flash button")
	require.Contains(b.t, b.text(".flash"), "is open again.")
	require.Equal(b.t, total, b.text(".pages small"))
	b.do(chromedp.Reload())
	require.Equal(b.t, 0, b.count(".flash"), "the message shows once")
}

// seeOtherTenant opens another tenant's address in a second tab of the same browser, after a change in the
// first.
func seeOtherTenant(t *testing.T, other *tab, address addresses) {
	require.Equal(t, 200, other.open(address("tenant-1.localhost", "/subtasks/?size=100")))
	require.Equal(t, 0, other.count(".flash"))
	require.Equal(t, 35, other.count("tbody tr"))
	text := other.text("body")
	require.Contains(t, text, "Account #2")
	for _, foreign := range []string{"Account #1", "tenant-0", "Project #2", "Company <0>"} {
		require.NotContains(t, text, foreign)
	}
	require.Equal(t, 404, other.open(address("tenant-1.localhost", "/subtasks/?project=3")))
	require.Equal(t, 404, other.open(address("tenant-7.localhost", "/")))
	require.Contains(t, other.text("main"), "No account has the address “tenant-7”.")
}

// onAPhone goes from the tenants into one of them, on a narrow dark screen, and by keyboard.
func onAPhone(b *tab, address addresses) {
	b.look(390, "dark")
	b.open(address("localhost", "/tenants/"))
	b.requireNoSidewaysScroll("tenants")
	b.click("tbody a")
	require.Equal(b.t, "/subtasks/", b.at())
	b.requireNoSidewaysScroll("subtasks")
	b.click(`nav a[href="/projects/"]`)
	require.Equal(b.t, 3, b.count("tbody .bar"))
	b.requireNoSidewaysScroll("projects")
	b.click("tbody a")
	require.Equal(b.t, "/subtasks/?project=1", b.at())

	b.do(chromedp.KeyEvent(kb.Tab))
	require.Equal(b.t, "Skip to the content", evaluate[string](b, "document.activeElement.textContent"))
	b.do(chromedp.KeyEvent(kb.Enter))
	require.Equal(b.t, "main", evaluate[string](b, "location.hash.slice(1)"))
}
