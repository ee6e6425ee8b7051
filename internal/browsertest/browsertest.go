// Package browsertest drives Chromium in tests: pages as a person sees them, wide and narrow, light and dark, with scripts and
// without, and axe, which looks at them for people who cannot see, or not well, or use no mouse.
package browsertest

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
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

// axe is a file of the site's tests, which are beside the packages that use this one.
var axe = sync.OnceValues(func() (string, error) {
	file, err := os.Open("../web/testdata/axe.min.js.gz")
	if err != nil {
		return "", err
	}
	defer file.Close()
	reader, err := gzip.NewReader(file)
	if err != nil {
		return "", err
	}
	script, err := io.ReadAll(reader)
	return string(script), err
})

// Start starts Chromium, which ends with the test. Without Chromium the test is skipped, except in CI.
func Start(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, program := range []string{"chromium-headless-shell", "chromium"} {
		if path == "" {
			path, _ = exec.LookPath(program)
		}
	}
	if path == "" && os.Getenv("CI") != "true" {
		t.Skip("no Chromium: apt-get install chromium-headless-shell")
	}
	require.NotEmpty(t, path, "Chromium is not installed")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-component-update", true))
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

	t testing.TB
}

// NewTab opens a tab with cookies of its own.
func NewTab(t testing.TB, browser context.Context) *Tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, browserTimeout)
	t.Cleanup(cancel)
	return &Tab{t: t, Ctx: ctx}
}

// Do takes steps of chromedp.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.Ctx, steps...))
}

// Open loads a page, which must be there.
func (b *Tab) Open(address string) {
	b.t.Helper()
	response, err := chromedp.Run(b.Ctx, chromedp.NavigateResponse(address))
	require.NoError(b.t, err)
	require.EqualValues(b.t, 200, response.Status)
}

// Evaluate returns what a script, or the promise it gives, comes to.
func Evaluate[T any](b *Tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.Ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, script)
	return value
}

// Look sets the size of the window and the colours that the person prefers, at once and not by a transition.
func (b *Tab) Look(width, height int64, scheme string) {
	b.t.Helper()
	b.Do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1)))
	_, err := chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	require.NoError(b.t, err)
}

// WithoutScripts switches JavaScript off.
func (b *Tab) WithoutScripts() {
	b.t.Helper()
	_, err := chromedp.Call(b.Ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(b.t, err)
}

// Picture keeps a screenshot of the window, when they are wanted.
func (b *Tab) Picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	image, err := chromedp.Run(b.Ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(*pictures, name+".png"), image, 0o644))
}

// RequireAccessible fails if axe finds anything in the part of the page.
func (b *Tab) RequireAccessible(name, part string) {
	b.t.Helper()
	script, err := axe()
	require.NoError(b.t, err)
	if !Evaluate[bool](b, "'axe' in window") {
		b.Do(chromedp.Evaluate[chromedp.Void](script))
	}
	found := Evaluate[string](b, fmt.Sprintf(`new Promise(done => axe.run(%q).then(result => done(JSON.stringify({
		passes: result.passes.length,
		violations: result.violations.map(v => ({rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)})),
	}))))`, part))
	var report struct {
		Passes     int
		Violations []any
	}
	require.NoError(b.t, json.Unmarshal([]byte(found), &report))
	require.Greater(b.t, report.Passes, 3, "axe has not looked at %s", name)
	require.Empty(b.t, report.Violations, "axe on %s", name)
}

// Beside opens a tab that shares the cookies of b.
func (b *Tab) Beside() *Tab {
	b.t.Helper()
	ctx, stop := chromedp.NewContext(b.Ctx)
	b.t.Cleanup(stop)
	require.NoError(b.t, chromedp.Do(ctx))
	return &Tab{t: b.t, Ctx: ctx}
}

// Click clicks what leads to another page, and waits for that.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	_, err := chromedp.RunResponse(b.Ctx, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(b.t, err, "click %s", selector)
}

// Text returns the text of the first element.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	return Evaluate[string](b, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// RequireFits fails if the page is wider than the window.
func (b *Tab) RequireFits(name string) {
	b.t.Helper()
	require.LessOrEqual(b.t, Evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"), 0, "%s is wider than the window", name)
}
