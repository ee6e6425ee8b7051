package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes"
)

func TestTenantPageIsTheSameInEveryConfiguration(t *testing.T) {
	t.Parallel()
	var fixtures []*fixture
	for _, configuration := range configurations {
		fixtures = append(fixtures, newFixture(t, configuration, nil))
	}
	for _, path := range []string{"/subtasks/", "/subtasks/11/", "/subtasks/?q=chapter&sort=newest", "/projects/", "/subtasks.json"} {
		want := fixtures[0].page(t, "GET tenant-0.localhost:8080 "+path)
		for _, w := range fixtures {
			require.Equal(t, want, w.page(t, "GET tenant-0.localhost:8080 "+path))
			require.NotContains(t, want, w.db.Name)
		}
	}
}

// list is the JSON of a list of subtasks.
type list struct {
	Count   int64
	Page    int
	Pages   int
	Links   linksJSON
	Results []subtaskJSON
}

func (w *fixture) list(t testing.TB, host, path string) list {
	t.Helper()
	var l list
	require.NoError(t, json.Unmarshal([]byte(w.page(t, "GET "+host+" "+path)), &l))
	return l
}

func (l list) labels() (labels []string) {
	for _, r := range l.Results {
		labels = append(labels, r.Account.Label+" "+r.Label)
	}
	return labels
}

func TestThePageShowsWhatTheOriginalShows(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	page := w.page(t, "GET tenant-0.localhost /subtasks/")
	require.Contains(t, page, "<h1>Subtasks</h1>")
	var columns []string
	for _, match := range regexp.MustCompile(`<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]*)(?:</a>)?</th>`).FindAllStringSubmatch(page, -1) {
		columns = append(columns, match[1])
	}
	require.Equal(t, []string{"Account", "Project", "Task", "Subtask", "Name", "Complete?", "Details"}, columns)
	for _, text := range []string{"Account #1", "Project #3", "Task #14", "Subtask #96", `class="circle done"`, `class="circle open"`, "Page 1 of 11", "Company &lt;0&gt; &amp; Sons"} {
		require.Contains(t, page, text)
	}
	require.Equal(t, 10, strings.Count(page, "<tr>")-1)
	require.NotContains(t, page, "Account #2")

	empty := w.page(t, "GET tenant-2.localhost /subtasks/")
	require.Contains(t, empty, "(No results)")
	require.Contains(t, empty, "This account has no subtasks yet.")
	require.NotContains(t, empty, "Page 1")
}

func TestPagesFollowOneAnother(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		var seen []string
		for next := "/subtasks.json?size=25&sort=task"; next != ""; {
			l := w.list(t, "tenant-0.localhost", next)
			require.Equal(t, int64(105), l.Count)
			require.Equal(t, 5, l.Pages)
			require.Equal(t, "http://tenant-0.localhost"+next, l.Links.Self)
			seen = append(seen, l.labels()...)
			next = strings.TrimPrefix(l.Links.Next, "http://tenant-0.localhost")
		}
		var want []string
		for id := 1; id <= 105; id++ {
			want = append(want, fmt.Sprintf("Account #1 Subtask #%d", id))
		}
		require.Equal(t, want, seen)
	}
}

// chapter returns the number in a subtask's name.
func chapter(t *testing.T, name string) (number int) {
	t.Helper()
	_, err := fmt.Sscanf(name, "Write chapter %d 100%%", &number)
	require.NoError(t, err)
	return number
}

func TestOrderIsByNameThenID(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	results := w.list(t, "tenant-0.localhost", "/subtasks.json?size=100").Results
	for i := 1; i < len(results); i++ {
		a, b := results[i-1], results[i]
		require.Negative(t, cmp.Or(cmp.Compare(chapter(t, a.Name), chapter(t, b.Name)), cmp.Compare(a.ID, b.ID)), "%v before %v", a, b)
	}
	newest := w.list(t, "tenant-0.localhost", "/subtasks.json?sort=newest").Results
	require.Equal(t, int64(105), newest[0].ID)
	require.Equal(t, int64(96), newest[9].ID)
}

func TestAllTenantsListIsOverAllAndReadOnly(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	l := w.list(t, "localhost:8080", "/subtasks.json?size=100")
	require.Equal(t, int64(105+35), l.Count)
	for i := 1; i < len(l.Results); i++ {
		a, b := l.Results[i-1], l.Results[i]
		require.Negative(t, cmp.Or(cmp.Compare(chapter(t, a.Name), chapter(t, b.Name)), cmp.Compare(a.Account.ID, b.Account.ID), cmp.Compare(a.ID, b.ID)))
	}
	page := w.page(t, "GET localhost:8080 /subtasks/")
	require.NotContains(t, page, "Mark done")
	require.Contains(t, page, `<a href="//tenant-1.localhost:8080/">Account #2</a>`)
	require.NotContains(t, page, `name="project"`)
}

// Whoever is not in the shared tables is not in that list, which says so.
func TestAllTenantsListOfAMixedFleet(t *testing.T) {
	t.Parallel()
	w := newFixture(t, mixed, nil)
	require.Equal(t, int64(105), w.list(t, "localhost:8080", "/subtasks.json?size=100").Count)
	require.Equal(t, int64(35), w.list(t, "tenant-1.localhost:8080", "/subtasks.json").Count)
	const says = "Those with a schema or database of their own are among the"
	require.Contains(t, w.page(t, "GET localhost:8080 /subtasks/"), says)
	require.NotContains(t, newFixture(t, single, nil).page(t, "GET localhost:8080 /subtasks/"), says)
}

// A search is for the beginnings of words, in a tenant's list as over all tenants. Whatever else is typed finds nothing.
func TestSearchIsForBeginningsOfWords(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, host := range []string{"localhost", "tenant-0.localhost"} {
		all := w.list(t, host, "/subtasks.json").Count
		twelve := w.list(t, host, "/subtasks.json?q=12").Count
		require.NotZero(t, twelve)
		for q, want := range map[string]int64{
			"chapter 12": twelve, "100% CHAPTER 12": twelve, "12 chap": twelve, "chap 12 writ": twelve, "write": all, "!writ": all,
			"rite": 0, "hapter": 0, "cha": 0, "w": 0, "chapter | nothing": 0, "%": 0, "'": 0, `\`: 0, ":*": 0, "<->": 0, "' & '": 0, "chapter'12": twelve,
		} {
			require.Equal(t, want, w.list(t, host, "/subtasks.json?q="+url.QueryEscape(q)).Count, "%s: %s", host, q)
		}
		page := w.list(t, host, "/subtasks/2.json?q=write")
		require.Len(t, page.Results, 10)
		require.Equal(t, w.list(t, host, "/subtasks/2.json").Results, page.Results, "a search for what all have is the whole list")
		require.Equal(t, w.list(t, host, "/subtasks.json?page=last").Results, w.list(t, host, "/subtasks.json?page=last&q=write").Results)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, nil)
	count := func(query string) int64 { return w.list(t, "tenant-0.localhost", "/subtasks.json?"+query).Count }
	require.Equal(t, int64(105), count("status=open")+count("status=done"))
	require.Equal(t, int64(35), count("project=2"))
	require.Equal(t, int64(105), count("q=WRITE"))
	require.Equal(t, count("q=chapter+7"), count("q=++chapter+7++"))
	both := w.list(t, "tenant-0.localhost", "/subtasks.json?q=chapt+write&project=1&status=done&size=100")
	require.NotEmpty(t, both.Results)
	for _, r := range both.Results {
		require.True(t, r.Complete && r.Project.ID == 1 && strings.Contains(r.Name, "chapter"), "%+v", r)
	}
	page := w.page(t, "GET tenant-0.localhost /subtasks/?q=%3Cnothing%3E")
	require.Contains(t, page, "Show all subtasks")
	require.Contains(t, page, `value="&lt;nothing&gt;"`)
}

func TestBadValuesSayWhatIsAllowed(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for query, want := range map[string]struct {
		status int
		text   string
	}{
		"tenant-0.localhost size=11":                       {400, "Page size must be 10, 25, 50 or 100."},
		"tenant-0.localhost size=-10":                      {400, "Page size must be 10, 25, 50 or 100."},
		"tenant-0.localhost sort=id":                       {400, "Choose one of: name, task, newest."},
		"tenant-0.localhost sort=name;drop":                {400, "cannot be read"},
		"tenant-0.localhost status=maybe":                  {400, "Choose one of: open, done."},
		"tenant-0.localhost project=x":                     {400, "not a number from 1"},
		"tenant-0.localhost project=99999999999999999999":  {400, "not a number from 1"},
		"tenant-0.localhost project=77":                    {404, "There is no project #77 here"},
		"tenant-1.localhost project=2":                     {404, "There is no project #2 here"}, // tenant-0 has one
		"tenant-0.localhost q=" + strings.Repeat("ä", 101): {400, "more than 100 letters"},
		"tenant-0.localhost q=%ff":                         {400, "UTF-8"},
		"tenant-0.localhost q=a%00":                        {400, "NUL"},
		"tenant-0.localhost q=a&q=b":                       {400, "given 2 times"},
		"tenant-0.localhost q=%zz":                         {400, "cannot be read"},
		"tenant-0.localhost page=1e3":                      {404, "numbered from 1"},
		"localhost project=1":                              {400, "cannot be filtered by project"},
	} {
		host, query, _ := strings.Cut(query, " ")
		response := w.ask(t, "GET "+host+" /subtasks/?"+query)
		require.Equal(t, want.status, response.StatusCode, query)
		require.Contains(t, bodyOf(t, response), want.text, query)
	}
	require.NotContains(t, w.log.String(), "ERROR")
}

const form = "Content-Type: application/x-www-form-urlencoded"

func (w *fixture) isComplete(t testing.TB, tenant int, id int64) bool {
	t.Helper()
	var row models.Subtask
	db := w.gorm.WithContext(scopes.WithTenant(t.Context(), w.tenants[tenant]))
	require.NoError(t, db.Where("id = ?", id).Take(&row).Error)
	return row.Complete
}

func TestMarkingDoneLeadsBackToTheView(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		require.False(t, w.isComplete(t, 0, 1))
		done := w.send(t, "POST tenant-0.localhost /subtask/1/complete?page=2&row=20&size=25&sort=task", "complete=true", form, "Sec-Fetch-Site: same-origin")
		require.Equal(t, http.StatusSeeOther, done.StatusCode)
		require.Equal(t, "/subtasks/2/?size=25&sort=task#row-20", done.Header.Get("Location"))
		require.True(t, w.isComplete(t, 0, 1))
		require.False(t, w.isComplete(t, 1, 1), "tenant-1's subtask of the same number is as it was")

		cookie := done.Header.Get("Set-Cookie")
		require.Contains(t, cookie, "HttpOnly; SameSite=Strict")
		cookie, _, _ = strings.Cut(cookie, ";")
		next := w.ask(t, "GET tenant-0.localhost /subtasks/2/?size=25&sort=task", "Cookie: "+cookie)
		page := bodyOf(t, next)
		require.Contains(t, page, "“<bdi>Write chapter 1 100%</bdi>” (Subtask #1) is done.")
		require.Contains(t, page, `action="/subtask/1/complete?page=2&amp;row=1&amp;size=25&amp;sort=task"`)
		require.Contains(t, next.Header.Get("Set-Cookie"), "Max-Age=0")
		require.NotContains(t, w.page(t, "GET tenant-2.localhost /subtasks/", "Cookie: "+cookie), "Subtask #1")
	}
}

func TestMarkingDoneOnTheLastPageThatThenIsGone(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	l := w.list(t, "tenant-0.localhost", "/subtasks.json?status=open&project=1&page=last")
	require.Len(t, l.Results, 3)
	for i, r := range l.Results {
		line := fmt.Sprintf("POST tenant-0.localhost /subtask/%d/complete?page=%d&status=open&project=1", r.ID, l.Page)
		location := w.send(t, line, "complete=true", form).Header.Get("Location")
		want := fmt.Sprintf("/subtasks/%d/?project=1&status=open", l.Page)
		if i == 2 {
			want = fmt.Sprintf("/subtasks/%d/?project=1&status=open", l.Page-1)
		}
		require.Equal(t, want, location)
		w.page(t, "GET tenant-0.localhost "+location)
	}
}

func TestMarkingDoneRefusesWhatIsNotTheTenants(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		const ofTenant0 = 105 // tenant-1 has 35
		for body, status := range map[string]int{"complete=true": 404, "complete=perhaps": 400, "": 400} {
			response := w.send(t, fmt.Sprintf("POST tenant-1.localhost /subtask/%d/complete", ofTenant0), body, form)
			require.Equal(t, status, response.StatusCode, "%q", body)
			require.Empty(t, response.Header.Get("Set-Cookie"))
		}
		for _, id := range []string{"0", "-1", "+1", "abc", "99999999999999999999"} {
			require.Equal(t, 404, w.send(t, "POST tenant-0.localhost /subtask/"+id+"/complete", "complete=true", form).StatusCode, id)
		}
		require.Equal(t, 400, w.send(t, "POST tenant-0.localhost /subtask/1/complete?size=7", "complete=true", form).StatusCode)
		require.Equal(t, 413, w.send(t, "POST tenant-0.localhost /subtask/1/complete", "complete=true&x="+strings.Repeat("x", maxBody), form).StatusCode)
		require.False(t, w.isComplete(t, 0, ofTenant0) && w.isComplete(t, 0, 1))
	}
}

// A form and a JSON document may say it, in words that leave no doubt.
func TestWhatMarkingDoneTakes(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"application/x-www-form-urlencoded", "complete=true", 303},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"complete\"\r\n\r\ntrue\r\n--x--\r\n", 303},
		{"application/json; charset=utf-8", `{"complete": true}`, 200},
		{"application/json", `{"complete": true, "name": "x"}`, 400},
		{"application/json", `{"complete": true} {}`, 400},
		{"application/json", `{"complete": true}]`, 400},
		{"application/x-www-form-urlencoded", "complete=", 400},
		{"application/x-www-form-urlencoded", "complete=%zz", 400},
		{"multipart/form-data", "complete=true", 400},
		{"application/json", `{"complete": null}`, 400},
		{"application/json", `{"complete": "true"}`, 400},
		{"application/json", `complete=true`, 400},
		{"application/x-yaml", "complete: true", 400},
		{"application/toml", "complete = true", 400},
		{"application/xml", "<x><Complete>true</Complete></x>", 400},
		{"application/x-msgpack", "\x81\xa8complete\xc3", 400},
		{"text/plain", "complete=true", 400},
		{"", "complete=true", 400},
	} {
		response := w.send(t, "POST tenant-0.localhost /subtask/1/complete", c.body, "Content-Type: "+c.kind)
		require.Equal(t, c.status, response.StatusCode, "%s: %s", c.kind, c.body)
	}
}

func TestMadeUpFlashShowsNothing(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, nil)
	plain := w.page(t, "GET tenant-1.localhost /subtasks/")
	for _, value := range []string{"105.true", "x.true", "1.maybe", "", "1", "-1.false", url.QueryEscape("<b>.true")} {
		require.Equal(t, plain, w.page(t, "GET tenant-1.localhost /subtasks/", "Cookie: flash="+value), value)
	}
}
