package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/internal/browsertest"
	"tenanted/scopes/pgtest"
)

// hardTexts are texts that some customer's database holds.
var hardTexts = []string{
	strings.Repeat("x", 3000),
	"",
	" \u200b\t",
	strings.Repeat("👨‍👩‍👧‍👦", 400),
	"e" + strings.Repeat("\u0301", 5000),
	"مرحبا \u202e" + strings.Repeat("عالم", 300),
	"<script>alert(1)</script></table>&amp;",
	strings.Repeat("漢字", 800),
	strings.Repeat("line\n", 300),
	"control \x01\x1b[31m\u0085",
}

// newHardFixture has hardTexts as the names and details of everything.
func newHardFixture(t testing.TB) *fixture {
	if pgtest.HasCitus() {
		t.Skip("Citus 13.2.0 crashes on the UPDATE by which these texts get there")
	}
	w := newFixture(t, single, nil)
	quoted := make([]string, len(hardTexts))
	for i, text := range hardTexts {
		quoted[i] = "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	texts := "(array[" + strings.Join(quoted, ",") + "])[1 + id % " + fmt.Sprint(len(hardTexts)) + "]"
	for _, set := range []string{"projects set name = ", "tasks set name = ", "subtasks set details = " + texts + ", name = "} {
		w.db.Exec(t, pgtest.Owner, "update "+set+texts)
	}
	for i := range w.tenants {
		w.tenants[i].Name = hardTexts[i%len(hardTexts)]
	}
	return w
}

// hardPages are pages that show them.
var hardPages = []struct{ name, host, path string }{
	{"tenant", "tenant-0.localhost", "/subtasks/?sort=task"},
	{"all", "localhost", "/subtasks/?sort=task"},
	{"projects", "tenant-0.localhost", "/projects/"},
	{"project", "tenant-0.localhost", "/project/1/"},
	{"task", "tenant-0.localhost", "/task/1/"},
	{"subtask", "tenant-0.localhost", "/subtask/3/"},
	{"tenants", "localhost", "/tenants/"},
	{"unknown", "tenant-9.localhost", "/subtasks/"},
}

// ways are those in which a person may look at a page.
var ways = []struct {
	name         string
	width, font  int64
	media        string
	forcedColors bool
}{
	{name: "desktop", width: 1200, font: 16},
	{name: "narrow-desktop", width: 1024, font: 16},
	{name: "phone", width: 390, font: 16},
	{name: "reflow", width: 320, font: 16},
	{name: "large-text", width: 1200, font: 32},
	{name: "large-text-phone", width: 390, font: 32},
	{name: "print", width: 794, font: 16, media: "print"},
	{name: "forced-colors", width: 1200, font: 16, forcedColors: true},
}

func lookBy(b *browsertest.Tab, width, font int64, media string, forcedColors bool) {
	b.T.Helper()
	b.Look(width, 900, "light")
	_, err := chromedp.Call(b.Ctx, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: font}})
	require.NoError(b.T, err)
	features := []*emulation.MediaFeature{{Name: "forced-colors", Value: map[bool]string{true: "active", false: "none"}[forcedColors]}}
	_, err = chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: features})
	require.NoError(b.T, err)
}

// outside lists the elements with text of their own that reach out of the window, or of the cell or card they are in.
const outside = `(() => {
	const found = [];
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest(".skip, .hidden, thead") || ![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;
		const range = document.createRange(), texts = [...e.childNodes].filter(n => n.nodeType == 3 && n.data.trim());
		range.setStart(texts[0], 0);
		range.setEnd(texts[0], texts[0].length);
		const box = range.getBoundingClientRect(), cell = e.closest("td, th, tr, .flash");
		if (!box.width || e.tagName == "OPTION") continue;
		const room = cell ? cell.getBoundingClientRect() : {left: 0, right: innerWidth};
		if (box.left < Math.max(0, room.left) - 1 || box.right > Math.min(innerWidth, room.right) + 1) {
			found.push(e.outerHTML.slice(0, 100) + " " + Math.round(box.left) + "…" + Math.round(box.right) + " in " + Math.round(room.left) + "…" + Math.round(room.right));
		}
	}
	return found;
})()`

// TestAnyTextFits looks at the hardest texts in every way: nothing leaves its cell, and no text is opened by itself.
func TestAnyTextFits(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	address := newHardFixture(t).serve(t)
	for _, p := range hardPages {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := browsertest.NewTab(t, chromium)
			for _, way := range ways {
				name := "hard-" + p.name + "-" + way.name
				lookBy(b, way.width, way.font, way.media, way.forcedColors)
				b.Open(address(p.host, p.path))
				b.Picture(name)
				b.RequireFits(name)
				require.Empty(t, browsertest.Evaluate[[]string](b, outside), name)
				require.Less(t, browsertest.Evaluate[int](b, "Math.max(0, ...[...document.querySelectorAll('tbody td, tbody th')].map(e => e.scrollHeight))"), 1500, name)
			}
		})
	}
}

func TestHardTextsInTheMarkup(t *testing.T) {
	t.Parallel()
	w := newHardFixture(t)
	html := w.page(t, "GET tenant-0.localhost /subtasks/?sort=task&size=25")
	require.NotContains(t, html, "<script")
	require.Contains(t, html, "(no name)")
	require.NotContains(t, html, "\x1b")
	for _, text := range []string{"<bdi>line\nline", "<bdi>&lt;script&gt;", "<bdi>xxx"} {
		require.Contains(t, html, text)
	}
	require.NotContains(t, html, strings.Repeat("\u0301", maxMarks+1))
}

// TestMessageNamesWhatWasChanged: the message after a change names the row, shortened, or says that it has no name.
func TestMessageNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	w := newHardFixture(t)
	for id, text := range map[int]string{10: "<bdi>" + strings.Repeat("x", maxHead) + "…</bdi>", 11: "<bdi>(no name)</bdi>", 12: "<bdi>(no name)</bdi>"} {
		html := w.page(t, "GET tenant-0.localhost /subtasks/", fmt.Sprintf("Cookie: flash=%d.true", id))
		require.Contains(t, html, text, "subtask %d", id)
	}
}

// TestPrintShowsTheTable hides what paper has no use for.
func TestPrintShowsTheTable(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	address := newFixture(t, single, nil).serve(t)
	lookBy(b, 794, 16, "print", false)
	b.Open(address("tenant-0.localhost", "/subtasks/"))
	require.Equal(t, "table-row", browsertest.Evaluate[string](b, "getComputedStyle(document.querySelector('tbody tr')).display"), "no cards")
	require.Equal(t, 0, browsertest.Evaluate[int](b, "[...document.querySelectorAll('button, select, input, .pages a')].filter(e => e.offsetParent).length"))
	require.Equal(t, 10, browsertest.Evaluate[int](b, "[...document.querySelectorAll('tbody tr')].filter(e => e.offsetParent).length"))
}

// contrast defines functions for the contrast of two colours, by WCAG, and of the colour behind an element.
const contrast = `
	const channels = c => c.match(/[\d.]+/g).map(Number);
	const light = c => channels(c).slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const contrast = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor, v = channels(c);
		if (v.length == 3 || v[3] > 0) return c } return getComputedStyle(document.documentElement).backgroundColor };`

// focusProblem says what is wrong with the focused element's ring, or nothing.
const focusProblem = `(() => {` + contrast + `
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
	const what = e.outerHTML.slice(0, 80) + ": ";
	if (style.outlineStyle == "none" || parseFloat(style.outlineWidth) < 2) return what + "no ring";
	if (contrast(style.outlineColor, behind(e.parentElement)) < 3) return what + "ring " + style.outlineColor + " on " + behind(e.parentElement);
	if (contrast(style.color, behind(e)) < 4.5) return what + "text " + style.color + " on " + behind(e);
	if (box.left < 0 || box.right > innerWidth) return what + "is not in the window";
	return "";
})()`

const faintFields = `(() => {` + contrast + `
	return [...document.querySelectorAll("input, select, tbody button")].filter(e => contrast(getComputedStyle(e).borderTopColor, behind(e.parentElement)) < 3)
		.map(e => e.outerHTML.slice(0, 80) + getComputedStyle(e).borderTopColor);
})()`

// TestFocusIsSeen goes through a page by keyboard: each stop has a ring that is seen, in forced colours too.
func TestFocusIsSeen(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	address := newFixture(t, single, nil).serve(t)
	for _, look := range []struct{ scheme, forced string }{{"light", "none"}, {"dark", "none"}, {"light", "active"}, {"dark", "active"}} {
		t.Run(look.scheme+" "+look.forced, func(t *testing.T) {
			t.Parallel()
			b := browsertest.NewTab(t, chromium)
			b.Look(1200, 900, look.scheme)
			_, err := chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "forced-colors", Value: look.forced}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
			require.NoError(t, err)
			b.Open(address("tenant-0.localhost", "/subtasks/2/"))
			require.Empty(t, browsertest.Evaluate[[]string](b, faintFields))
			seen := map[string]bool{}
			for range 60 {
				b.Do(chromedp.KeyEvent(kb.Tab))
				if browsertest.Evaluate[string](b, "document.activeElement.tagName") == "BODY" {
					break // past the last
				}
				require.Empty(t, browsertest.Evaluate[string](b, focusProblem))
				seen[browsertest.Evaluate[string](b, "document.activeElement.tagName")] = true
			}
			for _, tag := range []string{"A", "INPUT", "SELECT", "BUTTON", "SUMMARY"} {
				require.True(t, seen[tag], "came by no %s", tag)
			}
		})
	}
}

// TestMarkingARowKeepsThePlace marks a row far down: the focus is on its button, and nothing covers it.
func TestMarkingARowKeepsThePlace(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	w := newFixture(t, single, nil)
	address := w.serve(t)
	for _, width := range []int64{1200, 390} {
		b := browsertest.NewTab(t, chromium)
		w.signInAs(b, address, 0, memberID)
		b.WithoutScripts()
		b.Look(width, 900, "light")
		b.Open(address("tenant-0.localhost", "/subtasks/?size=25&status=open"))
		for _, row := range []string{"row-20", "row-3"} {
			b.Click("#" + row)
			require.Equal(t, row, browsertest.Evaluate[string](b, "document.activeElement.id"))
			require.True(t, browsertest.Evaluate[bool](b, `(() => { const e = document.activeElement, box = e.getBoundingClientRect();
				return e.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)) })()`), "%s is covered", row)
		}
	}
}
