package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"tenanted/internal/browsertest"
)

// TestWritingInABrowser is a person's way from a new project to its end, by keyboard, in each configuration, with JavaScript switched off.
func TestWritingInABrowser(t *testing.T) {
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
			b.Load(address("tenant-0.localhost", "/sign-in/?next=%2Fprojects%2F"))
			signInByForm(b, "u1@example.com", passwordOf(0))
			require.Equal(t, "/projects/", b.At())
			task := createWork(b)
			editAndMark(b)
			meetAConflict(b, b.Beside(), address)
			deleteWork(b, task, address)
		})
	}
}

// tabTo goes by the Tab key to an element.
func tabTo(b *browsertest.Tab, selector string) {
	b.T.Helper()
	for range 80 {
		if browsertest.Evaluate[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
		b.Do(chromedp.KeyEvent(kb.Tab))
	}
	require.Fail(b.T, "the keyboard does not come to "+selector)
}

// typeAt goes to a field by keyboard, and types over what is there.
func typeAt(b *browsertest.Tab, selector, text string) {
	b.T.Helper()
	tabTo(b, selector)
	b.Do(chromedp.KeyEvent(text)) // which replaces a line's text, as the Tab key has selected it
}

// enter presses the Enter key on an element, and waits for the page that it leads to.
func enter(b *browsertest.Tab, selector string) {
	b.T.Helper()
	tabTo(b, selector)
	_, err := chromedp.RunResponse(b.Ctx, chromedp.KeyEvent(kb.Enter))
	require.NoError(b.T, err, selector)
}

// createWork makes a project, a task in it, and a subtask in that, after a mistake. It returns the task's path.
func createWork(b *browsertest.Tab) (task string) {
	enter(b, `a[href="/projects/new"]`)
	typeAt(b, "#field-name", "Moving house")
	enter(b, `.work button`)
	require.Contains(b.T, b.Text(".notice"), "is created.")
	require.Contains(b.T, b.Text("h1"), "Moving house")
	enter(b, `a[href^="/tasks/new"]`)
	typeAt(b, "#field-name", "Kitchen")
	enter(b, `.work button`)
	task = b.At()
	enter(b, `a[href^="/subtasks/new"]`)
	typeAt(b, "#field-name", " ")
	typeAt(b, "#field-details", "The blue ones")
	enter(b, `.work button`)
	b.Do(chromedp.WaitVisible(chromedp.CSS("#field-name:focus"))) // the keyboard is at the mistake
	require.Equal(b.T, "A name is needed.", strings.TrimSpace(b.Text("#field-name-error")))
	require.Equal(b.T, "The blue ones", browsertest.Evaluate[string](b, "document.querySelector('#field-details').value"))
	b.Do(chromedp.KeyEvent("Pack the cups"))
	enter(b, `.work button`)
	require.Contains(b.T, b.Text("h1"), "Pack the cups")
	return task
}

// editAndMark gives the subtask to somebody, and marks it done from its task's page.
func editAndMark(b *browsertest.Tab) {
	enter(b, `a[href$="/edit"]`)
	tabTo(b, "#field-assignee")
	b.Do(chromedp.KeyEvent("U2"))
	enter(b, `.work button`)
	require.Contains(b.T, b.Text(".notice"), "is saved.")
	require.Contains(b.T, b.Text(".facts"), "U2 of 0")
	enter(b, `.crumbs li:last-child a`)
	enter(b, `#row-1`)
	require.Equal(b.T, "row-1", browsertest.Evaluate[string](b, "document.activeElement.id"), "the keyboard is where it was")
	require.Equal(b.T, 1, b.Count(".circle.done"))
	require.Contains(b.T, b.Text(".notice"), "is done.")
	enter(b, `tbody th a`)
}

// meetAConflict edits the subtask in two tabs.
func meetAConflict(b, other *browsertest.Tab, address addresses) {
	here, _, _ := strings.Cut(b.At(), "?")
	other.Load(address("tenant-0.localhost", here+"edit"))
	other.Press("#field-name", "Carefully: ") // before what is there
	enter(b, `a[href*="/edit"]`)
	typeAt(b, "#field-name", "Pack the glasses")
	enter(b, `.work button`)
	other.Click(".work button")
	require.Contains(b.T, other.Text(".wrong"), "has been changed by somebody else")
	require.Contains(b.T, other.Text("table"), "Pack the glasses")
	require.Contains(b.T, other.Text("table"), "Carefully: Pack the cups")
	other.RequireAccessible("conflict", "html")
	other.Picture("conflict")
	other.Click(".work button")
	require.Contains(b.T, other.Text("h1"), "Carefully: Pack the cups")
}

// deleteWork deletes the task with its subtask, and then the project.
func deleteWork(b *browsertest.Tab, task string, address addresses) {
	b.Load(address("tenant-0.localhost", task))
	enter(b, `a[href$="/delete"]`)
	require.Contains(b.T, b.Text("legend"), "1 subtask belongs to it.")
	tabTo(b, `input[value="move"]`)
	b.Do(chromedp.KeyEvent(kb.ArrowDown))
	enter(b, ".danger")
	require.Contains(b.T, b.Text(".notice"), "is deleted.")
	require.Contains(b.T, b.Text("h1"), "Moving house")
	enter(b, `a[href$="/delete"]`)
	enter(b, ".danger")
	require.Equal(b.T, "/projects/", b.At())
	require.NotContains(b.T, b.Text("main"), "Moving house")
}

// TestPagesOfOneRow looks at the pages by which rows are written, wide and narrow, light and dark.
func TestPagesOfOneRow(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Start(t)
	address := newFixture(t, single, nil).serve(t)
	for name, path := range map[string]string{
		"project": "/project/1/?return=/projects/", "project-new": "/projects/new", "project-delete": "/project/1/delete", "task": "/task/1/",
		"task-edit": "/task/1/edit", "subtask": "/subtask/3/", "subtask-edit": "/subtask/3/edit", "subtask-delete": "/subtask/3/delete",
		"user": "/user/2/", "mine": "/subtasks/?assignee=me",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browsertest.NewTab(t, chromium)
			b.Load(address("tenant-0.localhost", "/sign-in/"))
			signInByForm(b, "u1@example.com", passwordOf(0))
			for _, width := range []int64{1200, 390} {
				for _, scheme := range []string{"light", "dark"} {
					look := fmt.Sprintf("%s-%d-%s", name, width, scheme)
					b.Look(width, 900, scheme)
					b.Load(address("tenant-0.localhost", path))
					b.RequireFits(look)
					b.Picture(look)
					b.RequireAccessible(look, "html")
				}
			}
		})
	}
}

// TestThreeRowsShowOnAPhone opens the list on a phone: three subtasks are in the window before anybody scrolls.
func TestThreeRowsShowOnAPhone(t *testing.T) {
	t.Parallel()
	b := browsertest.NewTab(t, browsertest.Start(t))
	address := newFixture(t, single, nil).serve(t)
	b.Look(390, 844, "light")
	b.Load(address("tenant-0.localhost", "/subtasks/?sort=newest"))
	require.LessOrEqual(t, browsertest.Evaluate[float64](b, "document.querySelector('tbody tr:nth-child(3)').getBoundingClientRect().bottom"), 844.0)
	require.Equal(t, 0, b.Count("details.fold[open]"))
	require.False(t, browsertest.Evaluate[bool](b, "document.querySelector('select[name=project]').checkVisibility({contentVisibilityAuto: true, visibilityProperty: true})"))
	b.Look(1200, 844, "light")
	require.True(t, browsertest.Evaluate[bool](b, "document.querySelector('select[name=project]').checkVisibility({contentVisibilityAuto: true, visibilityProperty: true})"))
	b.RequireAccessible("wide", "html")
}
