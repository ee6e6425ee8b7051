package web

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
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

// pictures is where the tests leave screenshots for people to look at, and site whose: by default a site of
// the test's own. Those in docs/pictures are of the demo tenants, with `tenanted serve` running:
//
//	go test ./app/web -run Pictures -pictures ../../docs/pictures -site localhost:8080
var (
	pictures = flag.String("pictures", "", "directory for screenshots")
	siteFlag = flag.String("site", "", "host and port of a site of five demo tenants to take them of")
)

// browserTimeout bounds one test's work in the browser.
const browserTimeout = 2 * time.Minute

//go:embed testdata/axe.min.js.gz
var axeZipped []byte

// axe is the program that looks at pages for people who cannot see, or not well, or use no mouse.
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

// browser starts Chromium, which ends with the test: tests in the browser are subtests of one test, since
// starting it takes longer than most of them. Without Chromium the test is skipped, except in CI.
func browser(t *testing.T) context.Context {
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

// newTab opens a tab with cookies of its own.
func newTab(t testing.TB, browser context.Context) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, browserTimeout)
	t.Cleanup(cancel)
	return &tab{t: t, ctx: ctx}
}

// newTabBeside opens a tab that shares the cookies of b.
func newTabBeside(b *tab) *tab {
	ctx, stop := chromedp.NewContext(b.ctx)
	b.t.Cleanup(stop)
	require.NoError(b.t, chromedp.Do(ctx))
	return &tab{t: b.t, ctx: ctx}
}

// tab is a tab of the browser; whatever fails in it fails the test.
type tab struct {
	t   testing.TB
	ctx context.Context
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// open loads a page and returns its status.
func (b *tab) open(address string) int {
	b.t.Helper()
	response, err := chromedp.Run(b.ctx, chromedp.NavigateResponse(address))
	require.NoError(b.t, err)
	return int(response.Status)
}

// click clicks what leads to another page, and waits for that.
func (b *tab) click(selector string) {
	b.t.Helper()
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(b.t, err, "click %s", selector)
}

// press goes to an element and presses keys there.
func (b *tab) press(selector, keys string) {
	b.t.Helper()
	b.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(keys))
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.TextContent(chromedp.CSS(selector)))
	require.NoError(b.t, err, selector)
	return text
}

// count returns how many elements there are.
func (b *tab) count(selector string) int {
	b.t.Helper()
	return evaluate[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// at returns the path and query of the page.
func (b *tab) at() string {
	b.t.Helper()
	address, err := chromedp.Run(b.ctx, chromedp.Location())
	require.NoError(b.t, err)
	u, err := url.Parse(address)
	require.NoError(b.t, err)
	return u.RequestURI()
}

// evaluate returns what a script, or the promise it gives, comes to.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
	return value
}

// look sets the width in pixels and the colours that the person prefers.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900, chromedp.EmulateScale(1)))
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	require.NoError(b.t, err)
}

// withoutScripts switches JavaScript off.
func (b *tab) withoutScripts() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(b.t, err)
}

// picture keeps a screenshot of the window, when they are wanted.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	image, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(*pictures, name+".png"), image, 0o644))
}

// requireAccessible fails if axe finds anything on the page.
func (b *tab) requireAccessible(name string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](axe()))
	found := evaluate[string](b, `new Promise(done => axe.run().then(result => done(JSON.stringify({
		passes: result.passes.length,
		violations: result.violations.map(v => ({rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)})),
	}))))`)
	var report struct {
		Passes     int
		Violations []any
	}
	require.NoError(b.t, json.Unmarshal([]byte(found), &report))
	require.Greater(b.t, report.Passes, 10, "axe has not looked at %s", name)
	require.Empty(b.t, report.Violations, "axe on %s", name)
}

// requireNoSidewaysScroll fails if the page is wider than the window.
func (b *tab) requireNoSidewaysScroll(name string) {
	b.t.Helper()
	wider := evaluate[int](b, "document.documentElement.scrollWidth - window.innerWidth")
	require.LessOrEqual(b.t, wider, 0, "%s is wider than the window", name)
}

// serve makes the fixture's site reachable for the browser, and returns the address of a host there.
func (w *fixture) serve(t testing.TB) (address func(host, path string) string) {
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	where, err := url.Parse(server.URL)
	require.NoError(t, err)
	return func(host, path string) string { return "http://" + host + ":" + where.Port() + path }
}
