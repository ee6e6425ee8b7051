package web

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/internal/testpg"
)

// statements counts the statements that w's site sends.
func (w *world) statements(t *testing.T) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	count := func(*gorm.DB) { n.Add(1) }
	require.NoError(t, w.gorm.Callback().Query().After("*").Register("count", count))
	require.NoError(t, w.gorm.Callback().Row().After("*").Register("count", count))
	return &n
}

func TestPageIsKeptWhileNothingIsWritten(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, configuration, nil)
			for _, path := range []string{"/subtasks/", "/subtasks/2/?size=25", "/subtasks.json", "/subtasks/?q=chapter&status=open&project=1"} {
				for _, tenant := range []string{"tenant-0", "tenant-1"} { // the first one's is not shown to the second
					first := w.page(t, "GET "+tenant+".localhost "+path, "Cache-Control: no-cache")
					require.Equal(t, first, w.page(t, "GET "+tenant+".localhost "+path))
					for range 2 { // by gzip, too, the first time it is asked for and the second
						compressed := w.ask(t, "GET "+tenant+".localhost "+path, "Accept-Encoding: br, gzip;q=0.5")
						require.Equal(t, "gzip", compressed.Header.Get("Content-Encoding"))
						require.Contains(t, compressed.Header.Values("Vary"), "Accept-Encoding")
						plain, err := gzip.NewReader(compressed.Body)
						require.NoError(t, err)
						text, err := io.ReadAll(plain)
						require.NoError(t, err)
						require.Equal(t, first, string(text))
					}
					for _, no := range []string{"", "br", "gzip;q=0", "identity;q=1, gzip; q=0.0"} {
						require.Equal(t, first, w.page(t, "GET "+tenant+".localhost "+path, "Accept-Encoding: "+no))
					}
				}
			}
		})
	}
}

// The snapshot here is one that no other test changes.
func TestKeptPageTakesNoStatementOfTheTenants(t *testing.T) {
	t.Parallel()
	snapshot := "1:1:"
	w := newWorld(t, single, func(o *Options) {
		o.Snapshot = func(context.Context) (string, error) { return snapshot, nil }
	})
	n := w.statements(t)
	for _, host := range []string{"tenant-0.localhost", "localhost"} {
		request := "GET " + host + " /subtasks/"
		w.page(t, request)
		require.Positive(t, n.Swap(0), "the first")
		for tries := 0; ; tries++ { // the rows of all tenants may be numbered anew in the meantime
			require.Less(t, tries, 100, "kept")
			w.page(t, request)
			if n.Swap(0) == 0 {
				break
			}
		}
		w.page(t, request, "Cache-Control: no-cache")
		require.Positive(t, n.Swap(0), "a reload")
		snapshot += "1"
		w.page(t, request)
		require.Positive(t, n.Swap(0), "something was written")
	}
}

// Whoever writes what, by whatever way: the next page shows it.
func TestKeptPageShowsEveryCommit(t *testing.T) {
	t.Parallel()
	for _, configuration := range configurations {
		t.Run(configuration, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, configuration, nil)
			conn := w.owner(t, 0)
			for _, write := range []string{
				"update subtasks set name = 'Alpha' where id = 1", "update tasks set name = 'Beta' where id = 1",
				"update projects set name = 'Gamma' where id = 1", "update accounts set name = 'Delta'",
				"insert into subtasks (account_id, id, task_id, name) values (1, 1000, 1, 'Aleph')",
				"delete from subtasks where id = 1000", "truncate subtasks",
			} {
				kept := w.page(t, "GET tenant-0.localhost /subtasks/")
				tx, err := conn.Begin(t.Context())
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), write)
				require.NoError(t, err)
				if !strings.HasPrefix(write, "truncate") { // which locks the table
					require.Equal(t, kept, w.page(t, "GET tenant-0.localhost /subtasks/"), "before the commit of %s", write)
				}
				require.NoError(t, tx.Commit(t.Context()))
				page := w.page(t, "GET tenant-0.localhost /subtasks/")
				require.NotEqual(t, kept, page, write)
				require.Equal(t, w.page(t, "GET tenant-0.localhost /subtasks/", "Cache-Control: no-cache"), page, write)
			}
		})
	}
}

// owner returns a connection of the owner of tenant i's tables, which finds them.
func (w *world) owner(t *testing.T, i int) *pgx.Conn {
	t.Helper()
	config := w.db.Config(testpg.Owner)
	config.Database = w.tenants[i].Database
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })
	_, err = conn.Exec(t.Context(), "set search_path = "+pgx.Identifier{w.tenants[i].Schema}.Sanitize())
	require.NoError(t, err)
	return conn
}

// Writers read what they wrote while others read and write beside them, so that pages are kept and get old all the time.
func TestKeptPageShowsOnesOwnWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, single, nil)
	var group sync.WaitGroup
	for i := range 2 {
		conn := w.owner(t, i)
		host := fmt.Sprintf("tenant-%d.localhost", i)
		group.Go(func() {
			for n := range 100 {
				name := fmt.Sprintf("!%d by %d", n, i)
				_, err := conn.Exec(t.Context(), "update subtasks set name = $1 where account_id = $2 and id = 1", name, i+1)
				if err != nil || !strings.Contains(bodyOf(t, w.ask(t, "GET "+host+" /subtasks/")), name) {
					t.Errorf("%s does not show %q (%v)", host, name, err)
					return
				}
			}
		})
		group.Go(func() {
			for range 200 {
				foreign := fmt.Sprintf(" by %d<", 1-i)
				if strings.Contains(bodyOf(t, w.ask(t, "GET "+host+" /subtasks/")), foreign) {
					t.Errorf("%s shows the other tenant's", host)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestPageWithAMessageIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, single, nil)
	with := w.page(t, "GET tenant-0.localhost /subtasks/", "Cookie: flash=1.true")
	require.Contains(t, with, "is done.")
	require.NotContains(t, w.page(t, "GET tenant-0.localhost /subtasks/"), "is done.")
	require.Equal(t, with, w.page(t, "GET tenant-0.localhost /subtasks/", "Cookie: flash=1.true"))
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	k := newKept()
	body := make([]byte, maxKept/10)
	for round := range 2 { // the second time each takes the place of one that is there, or was
		for i := range 25 {
			k.put(keptKey{host: fmt.Sprint(i)}, "now", page{body: body})
			require.LessOrEqual(t, k.bytes, maxKept)
		}
		require.Equal(t, 10, k.pages.Len(), round)
		require.Equal(t, 10*len(body), k.bytes, round)
	}
	_, ok := k.get(keptKey{host: "24"}, "now")
	require.True(t, ok)
	_, ok = k.get(keptKey{host: "24"}, "later")
	require.False(t, ok)
	_, ok = k.get(keptKey{host: "1"}, "now")
	require.False(t, ok)
}

// Without an answer pages are made anew.
func TestWithoutASnapshotNothingIsKept(t *testing.T) {
	t.Parallel()
	for name, snapshot := range map[string]func(context.Context) (string, error){
		"none":    nil,
		"standby": func(context.Context) (string, error) { return "", nil },
		"away":    func(context.Context) (string, error) { return "1:1:", errors.New("away") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, single, func(o *Options) { o.Snapshot = snapshot })
			w.page(t, "GET tenant-0.localhost /subtasks/")
			require.Zero(t, w.site.kept.pages.Len())
		})
	}
}
