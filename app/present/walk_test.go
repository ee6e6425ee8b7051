package present

import (
	"encoding/base64"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/app/talk"
	"tenanted/internal/browsertest"
)

var update = flag.Bool("update", false, "write the documents that are made from the slides")

var paperFlag = flag.String("paper", "", "directory for the slides as PDF")

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
	b := browsertest.NewTab(t, browsertest.Start(t))
	b.Look(1440, 900, "light")
	b.Load(newSite(t).URL + "/")
	b.Do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	seen := map[string]bool{}
	for range len(Chapters()) + len(talk.Experiments()) {
		name := browsertest.Evaluate[string](b, current)
		require.False(t, seen[name], "came by %s twice", name)
		seen[name] = true
		if e, ok := talk.Find(name); ok {
			require.Equal(t, "", browsertest.Evaluate[string](b, "Reveal.getCurrentSlide().querySelector('.result').textContent"))
			text := browsertest.Evaluate[string](b, runHere)
			missing := strings.Contains(text, "is not installed") && os.Getenv("CI") != "true"
			require.True(t, missing || !strings.Contains(text, "could not run"), "%s: %s", name, text)
			require.NotContains(t, text, "does not hold", name)
			require.NotEmpty(t, text, name)
			if e.Switches {
				require.Regexp(t, "Stopped by|Nothing stopped it", text)
			}
		}
		require.LessOrEqual(t, browsertest.Evaluate[int](b, "Reveal.getCurrentSlide().scrollWidth - Reveal.getCurrentSlide().clientWidth"), 0, "%s is too wide", name)
		b.RequireAccessible(name, "#"+name)
		b.Picture("slide-" + name)
		b.Do(chromedp.KeyEvent(" "))
	}
	require.Len(t, seen, len(Chapters())+len(talk.Experiments()))
}

// TestKeys: the overview, the way to a slide by its address, and the notes that follow the slides.
func TestKeys(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	site := newSite(t)
	b.Look(1440, 900, "dark")
	b.Load(site.URL + "/#rls")
	b.Do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	require.Equal(t, "rls", browsertest.Evaluate[string](b, current))
	b.Picture("deck-dark")
	b.RequireAccessible("rls in the dark", "#rls")
	b.Do(chromedp.KeyEvent(kb.Escape), chromedp.Poll[chromedp.Void](`Reveal.isOverview() || null`))
	b.Picture("overview-dark")
	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Do(chromedp.KeyEvent(kb.ArrowRight))
	require.Equal(t, "pooling", browsertest.Evaluate[string](b, current))

	speaker := b.Beside()
	speaker.Open(site.URL + "/notes")
	speaker.Do(chromedp.Poll[chromedp.Void](`document.querySelector("#note-pooling[aria-current]") && true`))
	speaker.RequireAccessible("notes", "html")
	speaker.Picture("notes")
	b.Do(chromedp.KeyEvent(kb.ArrowLeft))
	speaker.Do(chromedp.Poll[chromedp.Void](`document.querySelector("#note-rls[aria-current]") && true`))
}

// TestWithoutScripts runs an experiment with all layers and with none, as a form that leads to a page.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	b.WithoutScripts()
	b.Look(1200, 900, "light")
	b.Load(newSite(t).URL + "/")
	slides := browsertest.Evaluate[int](b, "[...document.querySelectorAll('.chapter, .experiment')].filter(e => e.getBoundingClientRect().height > 50).length")
	require.Equal(t, len(Chapters())+len(talk.Experiments()), slides, "every slide is there to read")
	send := func(form string) string {
		b.Click(form + " button")
		return b.Text(".result")
	}
	require.Contains(t, send("#raw-sql form"), "16 rows, all of its own")
	b.Do(chromedp.Click(chromedp.CSS(`input[name="rls"]`)))
	require.Contains(t, send("form"), "120 rows, of which 104 are of other tenants")
	require.False(t, browsertest.Evaluate[bool](b, `document.querySelector('input[name="rls"]').checked`), "the form keeps the choice")
	b.Picture("result-page")
	b.Click("nav a")
	require.Equal(t, "#raw-sql", browsertest.Evaluate[string](b, "location.hash"))
}

// TestResultInTheDark looks at a result, which has colours of its own.
func TestResultInTheDark(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	b.Look(1440, 900, "dark")
	b.Load(newSite(t).URL + "/#set-config")
	b.Do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
	require.Contains(t, browsertest.Evaluate[string](b, runHere), "Nothing stopped it")
	b.RequireAccessible("result in the dark", "#set-config")
	b.Picture("result-dark")
	b.Do(chromedp.KeyEvent(kb.ArrowUp))
	require.NotEqual(t, "set-config", browsertest.Evaluate[string](b, current), "the keys work after the button was pressed")
}

// TestPage looks at the slides as a page: on a phone, in the dark, and on paper.
func TestPage(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	site := newSite(t)
	for _, width := range []int64{390, 320, 1200} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("page-%d-%s", width, scheme)
			b.Look(width, 844, scheme)
			b.Load(site.URL + map[bool]string{true: "/?plain", false: "/"}[width == 1200])
			require.False(t, browsertest.Evaluate[bool](b, "document.documentElement.classList.contains('deck')"), name)
			b.RequireFits(name)
			b.Picture(name)
			if width != 320 {
				b.RequireAccessible(name, "html")
			}
		}
	}
}

// TestPaper prints the slides, from the page and from where one is shown at a time: each is on a sheet of its own.
func TestPaper(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	site := newSite(t)
	for _, path := range []string{"/?plain", "/"} {
		b.Look(1440, 900, "light")
		b.Load(site.URL + path)
		if path == "/" {
			b.Do(chromedp.Poll[chromedp.Void](`window.Reveal && Reveal.isReady() || null`))
		}
		paper, err := chromedp.Call(b.Ctx, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PreferCSSPageSize: new(true)})
		require.NoError(t, err)
		content, err := base64.StdEncoding.DecodeString(string(paper.Data))
		if err != nil {
			content = []byte(paper.Data)
		}
		sheets := strings.Count(string(content), "/Type /Page\n")
		require.GreaterOrEqual(t, sheets, len(Chapters())+len(talk.Experiments()), path)
		require.LessOrEqual(t, sheets, len(Chapters())+len(talk.Experiments())+15, "%s: hardly any takes two", path)
		if *paperFlag != "" {
			require.NoError(t, os.WriteFile(filepath.Join(*paperFlag, "talk"+strings.Trim(path, "/?")+".pdf"), content, 0o644))
		}
	}
}
