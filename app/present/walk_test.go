package present

import (
	"flag"
	"fmt"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/app/talk"
)

var update = flag.Bool("update", false, "write the documents that are made from the slides")

// current is the id of the slide that is shown.
const current = `Reveal.getCurrentSlide().id`

// runHere presses the button of the slide that is shown, and waits for what comes.
const runHere = `new Promise((done, fail) => {
	const slide = Reveal.getCurrentSlide(), result = slide.querySelector(".result");
	new MutationObserver(() => result.hasAttribute("aria-busy") || done(result.textContent)).observe(result, {attributes: true, attributeFilter: ["aria-busy"]});
	slide.querySelector("button").click();
})`

// TestWalk goes through all slides by keyboard, runs every experiment, and has axe look at each.
func TestWalk(t *testing.T) {
	t.Parallel()
	b := newTab(t, browser(t))
	b.look(1440, 900, "light")
	b.open(newSite(t).URL + "/")
	b.do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	seen := map[string]bool{}
	for range len(Chapters()) + len(talk.Experiments()) {
		name := evaluate[string](b, current)
		require.False(t, seen[name], "came by %s twice", name)
		seen[name] = true
		if e, ok := talk.Find(name); ok {
			require.Equal(t, "", evaluate[string](b, "Reveal.getCurrentSlide().querySelector('.result').textContent"))
			text := evaluate[string](b, runHere)
			require.NotContains(t, text, "could not run", name)
			require.NotContains(t, text, "does not hold", name)
			require.NotEmpty(t, text, name)
			if e.Switches {
				require.Regexp(t, "Stopped by|Nothing stopped it", text)
			}
		}
		require.LessOrEqual(t, evaluate[int](b, "Reveal.getCurrentSlide().scrollWidth - Reveal.getCurrentSlide().clientWidth"), 0, "%s is too wide", name)
		b.requireAccessible(name, "#"+name)
		b.picture("slide-" + name)
		b.do(chromedp.KeyEvent(" "))
	}
	require.Len(t, seen, len(Chapters())+len(talk.Experiments()))
}

// TestKeys: the overview, the way to a slide by its address, and the notes that follow the slides.
func TestKeys(t *testing.T) {
	t.Parallel()
	b := newTab(t, browser(t))
	site := newSite(t)
	b.look(1440, 900, "dark")
	b.open(site.URL + "/#rls")
	b.do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	require.Equal(t, "rls", evaluate[string](b, current))
	b.picture("deck-dark")
	b.requireAccessible("rls in the dark", "#rls")
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.Poll[chromedp.Void](`Reveal.isOverview() || null`))
	b.picture("overview-dark")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	require.Equal(t, "pooling", evaluate[string](b, current))

	ctx, stop := chromedp.NewContext(b.ctx)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	speaker := &tab{t: t, ctx: ctx}
	speaker.open(site.URL + "/notes")
	speaker.do(chromedp.Poll[chromedp.Void](`document.querySelector("#note-pooling[aria-current]") && true`))
	speaker.requireAccessible("notes", "html")
	speaker.picture("notes")
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	speaker.do(chromedp.Poll[chromedp.Void](`document.querySelector("#note-rls[aria-current]") && true`))
}

// TestWithoutScripts runs an experiment with all layers and with none, as a form that leads to a page.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	b := newTab(t, browser(t))
	b.withoutScripts()
	b.look(1200, 900, "light")
	b.open(newSite(t).URL + "/")
	slides := evaluate[int](b, "[...document.querySelectorAll('.chapter, .experiment')].filter(e => e.getBoundingClientRect().height > 50).length")
	require.Equal(t, len(Chapters())+len(talk.Experiments()), slides, "every slide is there to read")
	send := func(form string) string {
		_, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(form+" button")))
		require.NoError(t, err)
		return evaluate[string](b, "document.querySelector('.result').textContent")
	}
	require.Contains(t, send("#raw-sql form"), "16 rows, all of its own")
	b.do(chromedp.Click(chromedp.CSS(`input[name="rls"]`)))
	require.Contains(t, send("form"), "120 rows, of which 104 are of other tenants")
	require.False(t, evaluate[bool](b, `document.querySelector('input[name="rls"]').checked`), "the form keeps the choice")
	b.picture("result-page")
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS("nav a")))
	require.NoError(t, err)
	require.Equal(t, "#raw-sql", evaluate[string](b, "location.hash"))
}

// TestResultInTheDark looks at a result, which has colours of its own.
func TestResultInTheDark(t *testing.T) {
	t.Parallel()
	b := newTab(t, browser(t))
	b.look(1440, 900, "dark")
	b.open(newSite(t).URL + "/#set-config")
	b.do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	require.Contains(t, evaluate[string](b, runHere), "Nothing stopped it")
	b.requireAccessible("result in the dark", "#set-config")
	b.picture("result-dark")
	b.do(chromedp.KeyEvent(kb.ArrowUp))
	require.NotEqual(t, "set-config", evaluate[string](b, current), "the keys work after the button was pressed")
}

// TestPage looks at the slides as a page: on a phone, in the dark, and on paper.
func TestPage(t *testing.T) {
	t.Parallel()
	b := newTab(t, browser(t))
	site := newSite(t)
	for _, width := range []int64{390, 320, 1200} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("page-%d-%s", width, scheme)
			b.look(width, 844, scheme)
			b.open(site.URL + map[bool]string{true: "/?plain", false: "/"}[width == 1200])
			require.False(t, evaluate[bool](b, "document.documentElement.classList.contains('deck')"), name)
			require.LessOrEqual(t, evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"), 0, "%s is wider than the window", name)
			b.picture(name)
			if width != 320 {
				b.requireAccessible(name, "html")
			}
		}
	}
	paper, err := chromedp.Call(b.ctx, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PreferCSSPageSize: new(true)})
	require.NoError(t, err)
	require.Greater(t, len(paper.Data), 50_000)
}
