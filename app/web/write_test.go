package web

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/pgtest"
)

const jsonBody = "Content-Type: application/json"

// formOf reads the fields of the last form on a page: what a browser would send if somebody sent it as it is.
func formOf(t testing.TB, page string) url.Values {
	t.Helper()
	_, page, ok := strings.Cut(page, `<form class="work"`)
	require.True(t, ok, "no form: %s", page)
	values := url.Values{}
	for _, match := range regexp.MustCompile(`<input ([^>]*)>`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(match[1], `type="radio"`) {
			values.Set(attribute(match[1], "name"), attribute(match[1], "value"))
		}
	}
	for _, match := range regexp.MustCompile(`(?s)<textarea ([^>]*)>\n?(.*?)</textarea>`).FindAllStringSubmatch(page, -1) {
		values.Set(attribute(match[1], "name"), html.UnescapeString(match[2]))
	}
	for _, match := range regexp.MustCompile(`(?s)<select ([^>]*)>(.*?)</select>`).FindAllStringSubmatch(page, -1) {
		chosen := regexp.MustCompile(`<option value="([^"]*)" selected`).FindStringSubmatch(match[2])
		values.Set(attribute(match[1], "name"), append(chosen, "", "")[1])
	}
	return values
}

func attribute(tag, name string) string {
	match := regexp.MustCompile(`\b` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	return html.UnescapeString(append(match, "", "")[1])
}

// opened asks for a page as the tenant's admin.
func (w *fixture) opened(t testing.TB, path string) string {
	t.Helper()
	return w.page(t, "GET tenant-0.localhost "+path, w.as(t, 0, adminID))
}

// submit sends a form as the tenant's admin, and returns the status, and the page or where it leads to.
func (w *fixture) submit(t testing.TB, path string, values url.Values) (status int, page string) {
	t.Helper()
	response := w.send(t, "POST tenant-0.localhost "+path, values.Encode(), form)
	if location := response.Header.Get("Location"); location != "" {
		return response.StatusCode, location
	}
	return response.StatusCode, bodyOf(t, response)
}

func with(values url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values
}

// counts counts what each tenant has.
func (w *fixture) counts(t testing.TB) (all [3]models.AccountCounts) {
	t.Helper()
	for i := range w.tenants {
		var err error
		all[i], err = w.site.Models.Accounts(w.tenantContext(t, i)).Counts()
		require.NoError(t, err)
	}
	return all
}

// TestWritingByForms goes through what people write, without a browser, in each configuration.
func TestWritingByForms(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, configuration, nil)
			before := w.counts(t)
			project := w.mustCreate(t, "/projects/new", "name", "  A <b>new</b> one ")
			require.Regexp(t, `^/project/\d+/$`, project)
			require.Contains(t, w.opened(t, project), "A &lt;b&gt;new&lt;/b&gt; one")
			task := w.mustCreate(t, "/tasks/new?project="+number(project), "name", "A task")
			require.Contains(t, w.opened(t, project), `<bdi>A task</bdi>`)
			subtask := w.mustCreate(t, "/subtasks/new?task="+number(task), "name", "A subtask", "details", "one\r\ntwo", "assignee", fmt.Sprint(memberID))
			page := w.opened(t, subtask)
			for _, text := range []string{"<bdi>A subtask</bdi>", "one\ntwo", fmt.Sprintf(`href="/user/%d/"`, memberID), `href="` + task + `"`, `href="` + project + `"`} {
				require.Contains(t, page, text)
			}
			require.Contains(t, w.opened(t, fmt.Sprintf("/user/%d/", memberID)), "<bdi>A subtask</bdi>")
			mine := w.page(t, "GET tenant-0.localhost /subtasks/?assignee=me", w.as(t, 0, memberID))
			require.Contains(t, mine, "<bdi>A subtask</bdi>")
			require.Contains(t, mine, "<h1>My subtasks</h1>")

			edit := formOf(t, w.opened(t, subtask+"edit?return=%2Fsubtasks%2F2%2F%23row-3"))
			require.Equal(t, []string{"one\ntwo", number(task), fmt.Sprint(memberID), "1"}, []string{edit.Get("details"), edit.Get("task"), edit.Get("assignee"), edit.Get("version")})
			status, to := w.submit(t, subtask+"edit", with(edit, "name", "Changed", "assignee", ""))
			require.Equal(t, 303, status, to)
			require.Equal(t, subtask+"?return=%2Fsubtasks%2F2%2F%23row-3", to)
			page = w.opened(t, to)
			require.Contains(t, page, `<a href="/subtasks/2/#row-3">Back to the list</a>`)
			require.Contains(t, page, "Nobody")

			w.deleteAll(t, project, task, subtask)
			require.Equal(t, before, w.counts(t))
			require.NotContains(t, w.log.String(), "ERROR")
		})
	}
}

// deleteAll deletes the subtask, and the project with its task.
func (w *fixture) deleteAll(t *testing.T, project, task, subtask string) {
	t.Helper()
	page := w.opened(t, project+"delete")
	require.Contains(t, page, "1 task with 1 subtask belong to it.")
	values := formOf(t, page)
	status, page := w.submit(t, project+"delete", values)
	require.Equal(t, 409, status, "nothing was said of them")
	require.Contains(t, page, "Nothing is deleted yet.")
	status, to := w.submit(t, subtask+"delete", formOf(t, w.opened(t, subtask+"delete")))
	require.Equal(t, 303, status)
	require.Equal(t, task, to)
	status, page = w.submit(t, project+"delete", with(values, "how", "with"))
	require.Equal(t, 409, status, "they are others than the page said")
	require.Contains(t, page, "1 task belongs to it.")
	status, to = w.submit(t, project+"delete", with(formOf(t, page), "how", "with"))
	require.Equal(t, 303, status)
	require.Equal(t, "/projects/", to)
	require.Equal(t, 404, w.ask(t, "GET tenant-0.localhost "+task).StatusCode)
}

func number(path string) string { return regexp.MustCompile(`\d+`).FindString(path) }

// mustCreate fills in a form, sends it twice, and returns where it led.
func (w *fixture) mustCreate(t testing.TB, path string, pairs ...string) string {
	t.Helper()
	values := with(formOf(t, w.opened(t, path)), pairs...)
	path, _, _ = strings.Cut(path, "?")
	status, first := w.submit(t, path, values)
	require.Equal(t, 303, status, first)
	status, second := w.submit(t, path, values)
	require.Equal(t, 303, status, second)
	require.Equal(t, first, second, "a form that is sent twice creates once")
	status, page := w.submit(t, path, with(values, "name", "Something else"))
	require.Equal(t, 409, status)
	require.Contains(t, page, "This form was sent before")
	require.Contains(t, page, `value="Something else"`)
	require.NotEqual(t, values.Get("key"), formOf(t, page).Get("key"))
	return first
}

func TestErrorsStandBesideTheirFields(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	before := w.counts(t)
	status, page := w.submit(t, "/subtasks/new", url.Values{"name": {" "}, "details": {"kept <text>"}, "task": {"36"}, "assignee": {"77"}, "key": {"k"}, "return": {"/projects/"}})
	require.Equal(t, 422, status)
	require.Contains(t, page, `aria-describedby="field-name-error"`)
	require.Contains(t, page, `<p class="field-error" id="field-name-error">A name is needed.</p>`)
	require.Contains(t, page, `id="field-task-error">There is no task #36 here.`)
	require.Contains(t, page, `id="field-assignee-error">There is no user #77 here.`)
	require.Contains(t, page, "\nkept &lt;text&gt;</textarea>")
	require.Equal(t, 1, strings.Count(page, "autofocus"), "the keyboard goes to the first one")
	require.Equal(t, "k", formOf(t, page).Get("key"))
	require.Equal(t, "/projects/", formOf(t, page).Get("return"))
	status, page = w.submit(t, "/projects/new", url.Values{"name": {"a\xff\x00b"}})
	require.Equal(t, 422, status)
	require.NotContains(t, page, "\x00")
	require.Equal(t, before, w.counts(t))
}

func TestAnEditOfAnOldVersionShowsBoth(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		mine, theirs := formOf(t, w.opened(t, "/task/1/edit")), formOf(t, w.opened(t, "/task/1/edit"))
		status, _ := w.submit(t, "/task/1/edit", with(theirs, "name", "Theirs", "project", "2"))
		require.Equal(t, 303, status)
		status, page := w.submit(t, "/task/1/edit", with(mine, "name", "Mine"))
		require.Equal(t, 409, status)
		for _, text := range []string{"<bdi>Theirs</bdi>", "<bdi>Mine</bdi>", "Project #2: project-2", "Project #1: project-1", "Save mine instead", "Keep what is there now"} {
			require.Contains(t, page, text)
		}
		status, to := w.submit(t, "/task/1/edit", formOf(t, page))
		require.Equal(t, 303, status)
		require.Equal(t, "/task/1/", to)
		require.Contains(t, w.opened(t, "/task/1/"), "<bdi>Mine</bdi>")
		status, _ = w.submit(t, "/task/1/delete", with(url.Values{}, "version", "1", "how", "with", "subtasks", "7"))
		require.Equal(t, 409, status)
	}
}

// Whatever a form or a document says of another tenant's rows, or of what is not to be set, changes nothing.
func TestFormsReachNoOtherTenant(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		before := w.counts(t)
		asTenant1 := w.as(t, 1, adminID)
		for line, body := range map[string]string{ // tenant-1 has project 1, tasks 1 to 5, subtasks 1 to 35
			"/tasks/new":          "name=x&project=2",
			"/task/1/edit":        "name=x&project=2&version=1",
			"/subtasks/new":       "name=x&task=6",
			"/subtask/1/edit":     "name=x&task=6&version=1",
			"/task/1/delete":      "version=1&how=move&move_to=6",
			"/project/1/delete":   "version=1&how=move&move_to=2",
			"/task/6/edit":        "name=x&project=1&version=1",
			"/project/2/edit":     "name=x&version=1",
			"/subtask/36/edit":    "name=x&task=1&version=1",
			"/subtask/36/delete":  "version=1",
			"/project/2/delete":   "version=1&how=with&tasks=5&subtasks=35",
			"/user/3/":            "",
			"/subtask/1/edit?x=y": "name=x&task=1&version=1&assignee=3",
		} {
			response := w.send(t, "POST tenant-1.localhost "+line, body, form, asTenant1)
			require.Contains(t, []int{404, 405, 422}, response.StatusCode, "%s %s", line, body)
		}
		for _, path := range []string{"/project/2/", "/task/6/", "/subtask/36/", "/user/3/", "/task/6/edit", "/subtask/36/delete", "/project/2.json", "/task/6.json", "/subtask/36.json"} {
			got := w.ask(t, "GET tenant-1.localhost "+path, asTenant1)
			require.Equal(t, 404, got.StatusCode, path)
			none := w.ask(t, "GET tenant-1.localhost "+strings.Replace(path, number(path), "999", 1), asTenant1)
			require.Equal(t, strings.ReplaceAll(bodyOf(t, none), "999", number(path)), bodyOf(t, got), "as if there were none: %s", path)
		}
		require.Equal(t, before, w.counts(t))

		status := w.send(t, "POST tenant-1.localhost /subtask/1/edit", "name=x&task=1&version=1&account_id=1&id=2&role=admin&complete=true", form, asTenant1).StatusCode
		require.Equal(t, 303, status, "what is no field of the form is left alone")
		require.Equal(t, 200, w.ask(t, "GET tenant-1.localhost /subtask/1/").StatusCode)
		require.False(t, w.isComplete(t, 1, 1))
		for _, extra := range []string{`"account_id": 1`, `"id": 2`, `"role": "admin"`, `"complete": true`, `"Name": "y"`} {
			answer := w.getJSON(t, "PATCH tenant-1.localhost /subtask/1.json", `{"version": 2, "name": "y", `+extra+`}`, jsonBody, asTenant1)
			require.Equal(t, 400, answer.status, extra)
		}
		require.Equal(t, before, w.counts(t))
	}
}

// Of more rows than a select can offer the number is typed.
func TestATenantWithManyTasks(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	w.db.Exec(t, pgtest.Owner, "insert into tasks (account_id, id, project_id, name) select 1, n, 1, 'one of many' from generate_series(2000, 2300) n")
	page := w.opened(t, "/subtasks/new?task=2100")
	require.Contains(t, page, `<input id="field-task" name="task" value="2100" inputmode="numeric"`)
	require.Contains(t, page, `aria-describedby="field-task-hint"`)
	status, to := w.submit(t, "/subtasks/new", with(formOf(t, page), "name", "x"))
	require.Equal(t, 303, status, to)
	status, page = w.submit(t, "/subtasks/new", url.Values{"name": {"x"}, "task": {"many"}})
	require.Equal(t, 422, status)
	require.Contains(t, page, "Choose a task.")
	require.Contains(t, page, `value="many"`)
	status, page = w.submit(t, "/task/2100/delete", url.Values{"version": {"1"}, "how": {"move"}})
	require.Equal(t, 422, status)
	require.Contains(t, page, "Choose a task.")
	status, _ = w.submit(t, "/task/2100/delete", url.Values{"version": {"1"}, "how": {"move"}, "move_to": {"2101"}})
	require.Equal(t, 303, status)
}

func TestTheListsTabsAndHeads(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		page := w.page(t, "GET tenant-0.localhost /subtasks/?q=chapter&sort=task&size=25")
		for _, part := range []string{
			`href="/subtasks/?q=chapter&amp;size=25&amp;sort=task&amp;status=open">Open <span class="count">70</span>`, `status=done">Done <span class="count">35</span>`,
			`aria-current="page">All <span class="count">105</span>`, `<th scope="col" aria-sort="ascending">Task</th>`,
			`<a href="/subtasks/?q=chapter&amp;size=25" title="Sort by name, ascending">Name</a>`, `<a href="/project/1/">Project #1</a>`, `<a href="/task/1/">Task #1</a>`,
			`<input type="hidden" name="size" value="25">`, `aria-label="25 rows on a page" aria-current="page">25</a>`,
			`href="/subtask/1/?return=%2Fsubtasks%2F%3Fq%3Dchapter%26size%3D25%26sort%3Dtask%23row-1"`,
		} {
			require.Contains(t, page, part)
		}
		require.Contains(t, w.page(t, "GET tenant-0.localhost /subtasks/?sort=newest"), `aria-sort="descending">Subtask`)
		require.Contains(t, w.page(t, "GET tenant-2.localhost /subtasks/?status=open"), `Open <span class="count">0</span>`)
		if listsAll(configuration) {
			page := w.page(t, "GET localhost /subtasks/")
			require.Contains(t, page, `<a href="//tenant-0.localhost/project/1/">Project #1</a>`)
			require.NotContains(t, page, "<button id=")
		}
	}
}

func TestWhereAReaderIsLedTo(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for target, led := range map[string]bool{
		"/subtasks/2/?q=a#row-3": true, "/": true,
		"//evil.com": false, `/\evil.com`: false, "https://evil.com": false, "javascript:alert(1)": false, "/\t/evil.com": false, "/ /x": false,
		"evil": false, "/" + strings.Repeat("x", maxReturn): false,
	} {
		page := w.opened(t, "/project/1/?return="+url.QueryEscape(target))
		require.Equal(t, led, strings.Contains(page, "Back to the list"), target)
		location := w.send(t, "POST tenant-0.localhost /subtask/1/complete?return="+url.QueryEscape(target), "complete=true", form).Header.Get("Location")
		require.Equal(t, map[bool]string{true: target, false: "/subtasks/"}[led], location)
	}
	page := w.page(t, "GET tenant-0.localhost /subtasks/", "Cookie: notice=deleted.task.5")
	require.Contains(t, page, "Task #5 is deleted.")
	for _, value := range []string{"deleted.task.<b>", "<b>.task.5", "deleted.<b>.5", "deleted.task", "deleted.task.-5"} {
		require.NotContains(t, w.page(t, "GET tenant-0.localhost /subtasks/", "Cookie: notice="+value), `class="notice"`)
	}
}

func TestWhoeverIsNobodyIsAskedToSignIn(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	before := w.counts(t)
	for _, path := range []string{"/projects/new", "/task/1/edit", "/subtask/1/delete", "/subtasks/?assignee=me"} {
		require.Contains(t, w.ask(t, "GET tenant-0.localhost "+path).Header.Get("Location"), "/sign-in/?next=", path)
	}
	for path, body := range map[string]string{"/projects/new": "name=x", "/task/1/edit": "name=x&project=1&version=1", "/subtask/1/delete": "version=1"} {
		require.Contains(t, w.send(t, "POST tenant-0.localhost "+path, body, form, nobody).Header.Get("Location"), "/sign-in/", path)
	}
	require.Equal(t, 403, w.send(t, "POST tenant-0.localhost /project/1/delete", "version=1&how=move&move_to=2", form, w.as(t, 0, memberID)).StatusCode)
	require.Equal(t, before, w.counts(t))
}

func TestOpenAPIWriting(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		d := readDocument(t)
		before := w.counts(t)
		admin := w.as(t, 0, adminID)
		call := func(method, path, documented, body string, status int, headers ...string) (document map[string]any) {
			t.Helper()
			answer := w.getJSON(t, method+" tenant-0.localhost "+path, body, append(headers, jsonBody, admin)...)
			require.Equal(t, status, answer.status, "%s %s %s: %s", method, path, body, answer.body)
			if status != http.StatusNoContent {
				d.requireDocumented(strings.ToLower(method), documented, answer)
				require.NoError(t, json.Unmarshal([]byte(answer.body), &document))
			}
			return document
		}
		id := func(document map[string]any) string { return fmt.Sprint(int64(document["id"].(float64))) }
		project := id(call("POST", "/projects.json", "/projects.json", `{"name": "by a program"}`, 201))
		task := id(call("POST", "/tasks.json", "/tasks.json", `{"name": "by a program", "project": `+project+`}`, 201))
		const key = "Idempotency-Key: 1"
		body := `{"name": "by a program", "task": ` + task + `, "assignee": 1}`
		subtask := id(call("POST", "/subtasks.json", "/subtasks.json", body, 201, key))
		require.Equal(t, subtask, id(call("POST", "/subtasks.json", "/subtasks.json", body, 201, key)))
		call("POST", "/subtasks.json", "/subtasks.json", strings.Replace(body, "1}", "2}", 1), 422, key)
		for body, status := range map[string]int{`{}`: 422, `{"name": 7}`: 400, `{"name": null}`: 400, `[]`: 400, `null`: 400, `{"name": "x", "task": "1"}`: 400,
			`{"name": "x", "task": 1.5}`: 400, `{"name": "x", "task": null}`: 400, `{"name": "x", "task": 9999}`: 422, `{"name": "x"} {}`: 400, `{"name": "x", "task": 1, "id": 1}`: 400} {
			call("POST", "/subtasks.json", "/subtasks.json", body, status)
		}
		one := "/subtask/" + subtask + ".json"
		require.Equal(t, float64(1), call("GET", one, "/subtask/{id}.json", "", 200)["assignee"])
		changed := call("PATCH", one, "/subtask/{id}.json", `{"version": 1, "assignee": null}`, 200)
		require.Equal(t, []any{nil, "by a program", float64(2)}, []any{changed["assignee"], changed["name"], changed["version"]})
		problem := call("PATCH", one, "/subtask/{id}.json", `{"version": 1, "name": "late"}`, 409)
		require.Equal(t, "by a program", problem["current"].(map[string]any)["name"])
		call("PATCH", one, "/subtask/{id}.json", `{"name": "x"}`, 428)
		require.Equal(t, "A name is needed.", call("PATCH", one, "/subtask/{id}.json", `{"version": 2, "name": ""}`, 422)["errors"].(map[string]any)["name"])
		call("DELETE", "/project/"+project+".json", "/project/{id}.json", "", 428)
		problem = call("DELETE", "/project/"+project+".json?version=1", "/project/{id}.json", "", 409)
		require.Equal(t, map[string]any{"tasks": float64(1), "subtasks": float64(1)}, problem["has"])
		call("DELETE", "/project/"+project+".json?version=1&move_to=2&tasks=1", "/project/{id}.json", "", 400)
		call("DELETE", "/project/"+project+".json?version=1&move_to=999", "/project/{id}.json", "", 422)
		call("DELETE", one+"?version=1", "/subtask/{id}.json", "", 409)
		call("DELETE", one+"?version=2", "/subtask/{id}.json", "", 204)
		call("DELETE", one+"?version=2", "/subtask/{id}.json", "", 404)
		call("DELETE", "/project/"+project+".json?version=1&tasks=1&subtasks=0", "/project/{id}.json", "", 204)
		require.Equal(t, before, w.counts(t))
	}
}
