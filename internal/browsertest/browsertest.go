// Package browsertest drives Chromium in tests: pages as a person sees them, wide and narrow, light and dark, with scripts and
// without, and axe, which looks at them for people who cannot see, or not well, or use no mouse.
package browsertest

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// pictures is where tests leave screenshots for people to look at.
var pictures = flag.String("pictures", "", "directory for screenshots")

// browserTimeout bounds one test's work in the browser.
const browserTimeout = 4 * time.Minute

//go:embed axe.min.js.gz
var axeZipped []byte

// axe is the program that looks at pages.
var axe = sync.OnceValue(func() string {
	reader, err := gzip.NewReader(bytes.NewReader(axeZipped))
	if err != nil {
		panic(err)
	}
	script, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return string(script)
})

// programs are those that can be the browser, the best first: without a window's machinery, the same pages take half the
// processors' time.
var programs = []string{"chromium-headless-shell", "chromium"}

// Start starts Chromium, which ends with the test: tests in the browser are best subtests of one test, since starting it takes
// longer than most of them. Without Chromium the test is skipped, except in CI.
func Start(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, program := range programs {
		if path == "" {
			path, _ = exec.LookPath(program)
		}
	}
	if path == "" && os.Getenv("CI") != "true" {
		t.Skip("no Chromium: apt-get install chromium-headless-shell")
	}
	require.NotEmpty(t, path, "none of %v is installed", programs)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,BackForwardCache")) // going back then loads the page, which can be awaited
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// Tab is a tab of the browser; whatever fails in it fails the test.
type Tab struct {
	Ctx context.Context
	T   testing.TB
}

// NewTab opens a tab with cookies of its own.
func NewTab(t testing.TB, browser context.Context) *Tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, browserTimeout)
	t.Cleanup(cancel)
	return &Tab{T: t, Ctx: ctx}
}

// Do takes steps of chromedp.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	require.NoError(b.T, chromedp.Do(b.Ctx, steps...))
}

// Open loads a page and returns its status.
func (b *Tab) Open(address string) int {
	b.T.Helper()
	response, err := chromedp.Run(b.Ctx, chromedp.NavigateResponse(address))
	require.NoError(b.T, err)
	return int(response.Status)
}

// Load loads a page, which must be there.
func (b *Tab) Load(address string) {
	b.T.Helper()
	require.Equal(b.T, 200, b.Open(address), address)
}

// Press goes to an element and presses keys there.
func (b *Tab) Press(selector, keys string) {
	b.T.Helper()
	b.Do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(keys))
}

// Count returns how many elements there are.
func (b *Tab) Count(selector string) int {
	b.T.Helper()
	return Evaluate[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// At returns the path and query of the page.
func (b *Tab) At() string {
	b.T.Helper()
	address, err := chromedp.Run(b.Ctx, chromedp.Location())
	require.NoError(b.T, err)
	u, err := url.Parse(address)
	require.NoError(b.T, err)
	return u.RequestURI()
}

// Evaluate returns what a script, or the promise it gives, comes to.
func Evaluate[T any](b *Tab, script string) T {
	b.T.Helper()
	value, err := chromedp.Run(b.Ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.T, err, script)
	return value
}

// Look sets the size of the window and the colours that the person prefers, at once and not by a transition.
func (b *Tab) Look(width, height int64, scheme string) {
	b.T.Helper()
	b.Do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1)))
	_, err := chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	require.NoError(b.T, err)
}

// WithoutScripts switches JavaScript off.
func (b *Tab) WithoutScripts() {
	b.T.Helper()
	_, err := chromedp.Call(b.Ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(b.T, err)
}

// Picture keeps a screenshot of the window, when they are wanted.
func (b *Tab) Picture(name string) {
	b.T.Helper()
	if *pictures == "" {
		return
	}
	image, err := chromedp.Run(b.Ctx, chromedp.CaptureScreenshot())
	require.NoError(b.T, err)
	require.NoError(b.T, os.WriteFile(filepath.Join(*pictures, name+".png"), image, 0o644))
}

// RequireAccessible fails if axe finds anything in the part of the page that a selector names: "html" for all of it.
func (b *Tab) RequireAccessible(name, part string) {
	b.T.Helper()
	if !Evaluate[bool](b, "'axe' in window") {
		b.Do(chromedp.Evaluate[chromedp.Void](axe()))
	}
	found := Evaluate[string](b, fmt.Sprintf(`new Promise(done => axe.run(%q).then(result => done(JSON.stringify({
		passes: result.passes.length,
		violations: result.violations.map(v => ({rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)})),
	}))))`, part))
	var report struct {
		Passes     int
		Violations []any
	}
	require.NoError(b.T, json.Unmarshal([]byte(found), &report))
	rules := 3
	if part == "html" {
		rules = 10
	}
	require.Greater(b.T, report.Passes, rules, "axe has not looked at %s", name)
	require.Empty(b.T, report.Violations, "axe on %s", name)
}

// Beside opens a tab that shares the cookies of b.
func (b *Tab) Beside() *Tab {
	b.T.Helper()
	ctx, stop := chromedp.NewContext(b.Ctx)
	b.T.Cleanup(stop)
	require.NoError(b.T, chromedp.Do(ctx))
	return &Tab{T: b.T, Ctx: ctx}
}

// Click clicks what leads to another page, and waits for that.
func (b *Tab) Click(selector string) {
	b.T.Helper()
	_, err := chromedp.RunResponse(b.Ctx, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(b.T, err, "click %s", selector)
}

// Text returns the text of the first element.
func (b *Tab) Text(selector string) string {
	b.T.Helper()
	text, err := chromedp.Run(b.Ctx, chromedp.TextContent(chromedp.CSS(selector)))
	require.NoError(b.T, err, selector)
	return text
}

// RequireFits fails if the page is wider than the window.
func (b *Tab) RequireFits(name string) {
	b.T.Helper()
	require.LessOrEqual(b.T, Evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"), 0, "%s is wider than the window", name)
}
