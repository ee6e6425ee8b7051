package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// tenantList is the JSON of the tenants' page.
type tenantList struct {
	Count   int64
	Pages   int
	Results []accountJSON
}

func (w *fixture) tenantList(t testing.TB, query string) tenantList {
	t.Helper()
	var l tenantList
	require.NoError(t, json.Unmarshal([]byte(w.page(t, "GET localhost:8080 /tenants.json"+query)), &l))
	return l
}

func (l tenantList) slugs() (slugs []string) {
	for _, r := range l.Results {
		slugs = append(slugs, r.Slug)
	}
	return slugs
}

func TestTenantsPageCountsEveryTenant(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		w := newFixture(t, configuration, nil)
		l := w.tenantList(t, "")
		require.Equal(t, []string{"tenant-0", "tenant-1", "tenant-2", "asleep"}, l.slugs())
		require.Equal(t, &countsJSON{Users: 2, Projects: 3, Tasks: 15, Subtasks: 105, Done: 35}, l.Results[0].Counts)
		require.Equal(t, &countsJSON{Users: 2, Projects: 1, Tasks: 5, Subtasks: 35, Done: 12}, l.Results[1].Counts)
		require.Equal(t, &countsJSON{}, l.Results[2].Counts)
		require.Nil(t, l.Results[3].Counts)
		require.Equal(t, "suspended", l.Results[3].Problem)
		require.Equal(t, "http://tenant-0.localhost:8080/", l.Results[0].URL)
		require.Empty(t, l.Results[3].URL)
		page := w.page(t, "GET localhost:8080 /tenants/")
		require.Contains(t, page, `<a href="//tenant-1.localhost:8080/">tenant-1</a>`)
		require.Contains(t, page, w.tenants[1].Placement.String())
	}
}

func TestTenantsPageOrdersAndSearches(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, nil)
	for query, want := range map[string]string{
		"?sort=slug":         "asleep tenant-0 tenant-1 tenant-2",
		"?sort=name":         "tenant-0 tenant-1 tenant-2 asleep",
		"?sort=subtasks":     "tenant-0 tenant-1 tenant-2 asleep",
		"?sort=done":         "tenant-1 tenant-0 tenant-2 asleep",
		"?q=TENANT":          "tenant-0 tenant-1 tenant-2",
		"?q=%3C1%3E":         "tenant-1",
		"?q=sleep&sort=done": "asleep",
		"?q=nobody":          "",
	} {
		require.Equal(t, want, strings.Join(w.tenantList(t, query).slugs(), " "), query)
	}
	require.Equal(t, 404, w.ask(t, "GET localhost /tenants/?page=2").StatusCode)
	require.Equal(t, 400, w.ask(t, "GET localhost /tenants/?sort=age").StatusCode)
}

func TestTenantsPageWithoutOwnerSaysSo(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, func(o *Options) { o.List = nil })
	response := w.ask(t, "GET localhost:8080 /tenants/")
	require.Equal(t, 501, response.StatusCode)
	require.Contains(t, bodyOf(t, response), "PGOWNER is not set")
}

// Without a list nothing on the bare domain leads to it: its first page says where tenants are.
func TestBareDomainWithoutOwner(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, func(o *Options) { o.List = nil })
	page := w.page(t, "GET localhost:8080 /")
	require.Contains(t, page, "<code>localhost:8080</code>")
	require.NotContains(t, page, "/tenants/")
	require.JSONEq(t, `{"openapi": "http://localhost:8080/openapi.json"}`, w.page(t, "GET localhost:8080 /", "Accept: application/json"))
	subtasks := w.ask(t, "GET localhost:8080 /subtasks/")
	require.Equal(t, 404, subtasks.StatusCode)
	require.Contains(t, bodyOf(t, subtasks), "on a tenant&#39;s own address")
}

func TestTenantsPageComesWhileADatabaseIsAway(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, nil)
	name := pgx.Identifier{w.tenants[1].Database}.Sanitize()
	w.db.Exec(t, pgtest.Superuser, "alter database "+name+" allow_connections false")
	l := w.tenantList(t, "")
	require.Equal(t, "can't be reached", l.Results[1].Problem)
	require.NotNil(t, l.Results[0].Counts)
	require.Contains(t, w.page(t, "GET localhost /tenants/"), "can&#39;t be reached")
	require.Equal(t, 503, w.ask(t, "GET tenant-1.localhost /subtasks/").StatusCode)
	require.Equal(t, 200, w.ask(t, "GET tenant-0.localhost /subtasks/").StatusCode)
}

// A table that someone has locked is a database that does not answer in time.
func TestTenantsPageComesWhileADatabaseHangs(t *testing.T) {
	t.Parallel()
	w := newFixture(t, databases, nil)
	config := w.db.Config(pgtest.Owner)
	config.Database = w.tenants[1].Database
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), "begin; lock table subtasks")
	require.NoError(t, err)
	begin := time.Now()
	l := w.tenantList(t, "")
	require.Less(t, time.Since(begin), countTimeout+2*time.Second)
	require.Equal(t, "no answer in time", l.Results[1].Problem)
	require.Equal(t, int64(105), l.Results[0].Counts.Subtasks)
}

func TestTooManyTenantsToOrderByNumbers(t *testing.T) {
	t.Parallel()
	w := newFixture(t, single, func(o *Options) {
		o.List = func(context.Context, TenantOrder) (entries []TenantEntry, _ error) {
			for i := range maxCountedForOrder + 1 {
				entries = append(entries, TenantEntry{Tenant: scopes.Tenant{ID: scopes.TenantID(i + 1), Slug: fmt.Sprintf("t-%03d", i)}, State: "creating"})
			}
			return entries, nil
		}
	})
	response := w.ask(t, "GET localhost /tenants/?sort=users")
	require.Equal(t, 400, response.StatusCode)
	require.Contains(t, bodyOf(t, response), "up to 200 tenants, and these are 201")
	require.Equal(t, int64(maxCountedForOrder+1), w.tenantList(t, "?sort=slug&page=last").Count)
	require.Equal(t, int64(100), w.tenantList(t, "?sort=users&q=t-0").Count)
}

func TestListThatFails(t *testing.T) {
	t.Parallel()
	for want, failure := range map[int]error{503: scopes.ErrUnavailable, 500: errors.New("secret of the database")} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			w := newFixture(t, single, func(o *Options) {
				o.List = func(context.Context, TenantOrder) ([]TenantEntry, error) { return nil, failure }
			})
			response := w.ask(t, "GET localhost /tenants/")
			require.Equal(t, want, response.StatusCode)
			require.NotContains(t, bodyOf(t, response), "secret")
			require.Contains(t, w.log.String(), failure.Error())
		})
	}
}
