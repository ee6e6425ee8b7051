package present

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

// pictures is where the tests leave screenshots for people to look at.
var pictures = flag.String("pictures", "", "directory for screenshots")

// browserTimeout bounds one test's work in the browser.
const browserTimeout = 4 * time.Minute

// axe looks at pages for people who cannot see, or not well, or use no mouse. It is a file of the site's tests.
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

// browser starts Chromium, which ends with the test. Without Chromium the test is skipped, except in CI.
func browser(t *testing.T) context.Context {
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

// tab is a tab of the browser; whatever fails in it fails the test.
type tab struct {
	t   testing.TB
	ctx context.Context
}

func newTab(t testing.TB, browser context.Context) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, browserTimeout)
	t.Cleanup(cancel)
	return &tab{t: t, ctx: ctx}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

func (b *tab) open(address string) {
	b.t.Helper()
	response, err := chromedp.Run(b.ctx, chromedp.NavigateResponse(address))
	require.NoError(b.t, err)
	require.EqualValues(b.t, 200, response.Status)
}

// evaluate returns what a script, or the promise it gives, comes to.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, script)
	return value
}

// look sets the size of the window and the colours that the person prefers.
func (b *tab) look(width, height int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height, chromedp.EmulateScale(1)))
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

// requireAccessible fails if axe finds anything in the part of the page.
func (b *tab) requireAccessible(name, part string) {
	b.t.Helper()
	script, err := axe()
	require.NoError(b.t, err)
	if !evaluate[bool](b, "'axe' in window") {
		b.do(chromedp.Evaluate[chromedp.Void](script))
	}
	found := evaluate[string](b, fmt.Sprintf(`new Promise(done => axe.run(%q).then(result => done(JSON.stringify({
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
