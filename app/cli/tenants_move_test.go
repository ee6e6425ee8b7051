package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

func (w *fixture) placementOf(t *testing.T, slug string) string {
	t.Helper()
	var shown struct{ Database, Schema string }
	require.NoError(t, json.Unmarshal([]byte(w.ok(t, "tenants", "show", slug, "--format", "json")), &shown))
	return strings.TrimPrefix(shown.Database, w.db.Name) + "." + shown.Schema
}

// operated is a fixture of Mixed whose owner may end the sessions that a server keeps in a tenant's database, and follow changes.
func operated(t *testing.T) *fixture {
	t.Helper()
	w := fixtureOf(t, config.Mixed, pgtest.Elsewhere(t, "empty", func(context.Context, *pgx.Conn) error { return nil }))
	const role = "test_operator"
	w.db.Exec(t, pgtest.Superuser, `do $$ begin
		perform pg_advisory_xact_lock(1); -- roles are the whole server's
		if not exists (select from pg_roles where rolname = '`+role+`') then
			create role `+role+` login createdb replication in role `+pgtest.Owner+`, pg_signal_backend;
		end if;
	end $$`)
	return w.with("PGOWNER=" + role)
}

// A tenant goes around through every kind of placement while it is served, and comes back with the same rows; nobody else's
// are touched.
func TestATenantIsMovedAround(t *testing.T) {
	t.Parallel()
	w := operated(t)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "4") // shared, schema, database, shared
	s := w.serve(t)
	rows := func(slug string) string { return strings.Split(w.others(t, slug), "\n")[1] }
	mine, others := rows("tenant-0"), rows("tenant-1")+rows("tenant-2")+rows("tenant-3")
	for _, step := range []struct{ to, place string }{
		{"--schema mine", ".mine"},
		{"--schema mine2 --lock", ".mine2"},
		{"--database " + w.db.Name + "_mine", "_mine.public"},
		{"--database " + w.db.Name + "_mine --schema inner", "_mine.inner"},
		{"--database " + w.db.Name + "_mine2", "_mine2.public"},
		{"--shared", ".public"},
	} {
		r := w.run(t, append([]string{"tenants", "move", "tenant-0", "--grace", "0"}, strings.Fields(step.to)...)...)
		require.Zero(t, r.code, r.err)
		if strings.Contains(step.to, "--lock") {
			require.Contains(t, r.err, "changes of its rows wait now, behind locks, until they are copied: --lock asks for it\n")
		} else {
			require.Contains(t, r.err, "changes of its rows go on during the copy, and wait for a moment at its end\n")
		}
		require.Regexp(t, `rows, and 0 changes during the copy; changes waited for \d+`, r.out)
		require.Equal(t, step.place, w.placementOf(t, "tenant-0"))
		require.Equal(t, mine, rows("tenant-0"))
		s.becomes(t, "tenant-0", 200)
		require.Zero(t, w.count(t, "select count(*) from control.moves"))
	}
	require.Equal(t, others, rows("tenant-1")+rows("tenant-2")+rows("tenant-3"))
	require.Zero(t, w.count(t, "select count(*) from pg_namespace where nspname like 'mine%'"))
	require.Zero(t, w.count(t, "select count(*) from pg_database where datname like '"+w.db.Name+"\\_mine%'"))
	w.fails(t, 1, "it is in "+w.db.Name+".public already", "tenants", "move", "tenant-0", "--shared")
	w.fails(t, 1, "is another tenant's", "tenants", "move", "tenant-0", "--schema", "tenant-1")
	w.fails(t, 1, "is not being moved", "tenants", "move", "tenant-0", "--undo")
	for want, args := range map[string]string{
		"say where to": "", "name one place": "--shared --schema x", "name one place, or": "--undo --shared", "an undo copies nothing": "--undo --lock", "--grace -1s": "--shared --grace -1s", "is taken": "--schema public",
	} {
		w.fails(t, 2, want, append([]string{"tenants", "move", "tenant-0"}, strings.Fields(args)...)...)
	}
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
	require.Zero(t, s.end(t))
}

// Where changes cannot be followed, the command says why before it begins.
func TestAMoveSaysWhyChangesWait(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	w.ok(t, "migrate")
	w.ok(t, "tenants", "create", "acme")
	r := w.run(t, "tenants", "move", "acme", "--schema", "mine", "--format", "json")
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.err, "until they are copied: changes cannot be followed: wal_level is minimal: set it to logical, and restart the server\n")
	require.Contains(t, r.out, `"changes_followed": false`)
}

// Under writes without a pause, every change that was acknowledged is there after the moves, once, and reads never fail.
func TestNoAcknowledgedChangeIsLostInAMove(t *testing.T) {
	t.Parallel()
	w := operated(t)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2")
	s := w.serve(t)
	token := w.token(t, "tenant-0")
	conn := w.db.Connect(t, pgtest.Superuser)
	rows, _ := conn.Query(t.Context(), "select id from subtasks where account_id = 1 and not complete order by id")
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	require.Greater(t, len(ids), 20)

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var mutex sync.Mutex
	done, reads, failedReads := map[int64]bool{}, 0, ""
	clients.Go(func() { // marks one after the other as done, and again as open
		for n := 0; ctx.Err() == nil; n++ {
			id, want := ids[n%len(ids)], n/len(ids)%2 == 0
			if markDone(ctx, s.addr, token, id, want) {
				mutex.Lock()
				done[id] = want
				mutex.Unlock()
			}
		}
	})
	clients.Go(func() {
		for ctx.Err() == nil {
			code := statusOf(ctx, s.addr)
			mutex.Lock()
			reads++
			if code != 200 && ctx.Err() == nil {
				failedReads += fmt.Sprint(code, " ")
			}
			mutex.Unlock()
		}
	})
	for _, to := range []string{"--schema mine", "--database " + w.db.Name + "_mine", "--shared"} {
		time.Sleep(50 * time.Millisecond)
		w.ok(t, append([]string{"tenants", "move", "tenant-0", "--grace", "1s"}, strings.Fields(to)...)...)
	}
	time.Sleep(50 * time.Millisecond)
	stop()
	clients.Wait()
	require.Greater(t, reads, 20)
	require.Empty(t, failedReads)
	require.Greater(t, len(done), 20)
	for id, want := range done {
		var is bool
		require.NoError(t, conn.QueryRow(t.Context(), "select complete from subtasks where account_id = 1 and id = $1", id).Scan(&is))
		require.Equal(t, want, is, id)
	}
	require.Zero(t, s.end(t))
}

// markDone reports whether the change was acknowledged.
func markDone(ctx context.Context, addr, token string, id int64, done bool) bool {
	body := strings.NewReader(fmt.Sprintf(`{"complete": %t}`, done))
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, fmt.Sprintf("http://%s/subtask/%d/complete", addr, id), body)
	if err != nil {
		return false
	}
	request.Host = "tenant-0.localhost"
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Authorization", "Bearer "+token) // which moves with the tenant
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == 200
}

func statusOf(ctx context.Context, addr string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/subtasks.json?size=100", nil)
	if err != nil {
		return 0
	}
	request.Host = "tenant-0.localhost"
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// A move that is killed at any moment is completed by the same command, or taken back.
func TestAKilledMoveIsCompletedOrUndone(t *testing.T) {
	t.Parallel()
	w := operated(t)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "4")
	rows := func(slug string) string { return strings.Split(w.others(t, slug), "\n")[1] }
	mine, others := rows("tenant-0"), rows("tenant-3")
	finished := 0
	killed(6, func(i int) {
		to := []string{"--schema", fmt.Sprintf("s%d", i)}
		switch i % 4 {
		case 1:
			to = []string{"--database", fmt.Sprintf("%s_d%d", w.db.Name, i)}
		case 3:
			to = []string{"--shared"}
		}
		move := append([]string{"tenants", "move", "tenant-0", "--grace", "0"}, to...)
		var moment time.Time
		w.kill(t, func() bool {
			if moment.IsZero() && w.count(t, "select count(*) from control.moves") > 0 {
				moment = time.Now().Add(randomly(400 * time.Millisecond))
			}
			return !moment.IsZero() && time.Now().After(moment)
		}, move...)
		require.Equal(t, mine, rows("tenant-0"), "wherever it is")
		if i%3 == 2 {
			if r := w.run(t, "tenants", "move", "tenant-0", "--undo"); r.code == 0 {
				require.Equal(t, mine, rows("tenant-0"))
				w.ok(t, "tenants", "exec", "--tenant", "tenant-0", "--write", "update projects set name = name")
			} else {
				require.Regexp(t, "is in .* already|is not being moved", r.err)
			}
		}
		if w.count(t, "select count(*) from control.moves") > 0 {
			w.fails(t, 1, "is being moved: complete the move or undo it first", "tenants", "drop", "tenant-0", "--yes")
			w.fails(t, 1, "name that place to go on, or undo the move", "tenants", "move", "tenant-0", "--schema", "elsewhere")
		} else {
			finished++
		}
		if r := w.run(t, move...); r.code != 0 {
			require.Contains(t, r.err, "already")
		}
		require.Equal(t, mine, rows("tenant-0"))
		w.ok(t, "tenants", "exec", "--tenant", "tenant-0", "--write", "update projects set name = name")
	})
	t.Log("not killed in time or undone:", finished)
	require.Equal(t, others, rows("tenant-3"))
	w.ok(t, "tenants", "move", "tenant-0", "--schema", "last", "--grace", "0")
	require.Zero(t, w.count(t, `select count(*) from pg_namespace where nspname ~ '^s\d'`))
	require.Zero(t, w.count(t, "select count(*) from pg_database where datname like '"+w.db.Name+`\_d%'`))
	require.Zero(t, w.count(t, "select count(*) from subtasks where account_id = 1"))
	require.Zero(t, w.count(t, "select count(*) from pg_publication"))
	require.Zero(t, w.count(t, "select count(*) from pg_replication_slots where database = current_database() or starts_with(database, current_database() || '_')"))
	require.Empty(t, w.check(t, 0).ids(audit.Defect))
}

// A change at a place that a tenant has left is refused in words of its own, and a right that is lacking by mistake is not.
func TestAPlaceThatATenantHasLeftTakesNoChange(t *testing.T) {
	t.Parallel()
	w := newFixture(t, config.Mixed)
	w.ok(t, "migrate")
	w.ok(t, "seed", "--accounts", "2") // shared, schema
	s := w.serve(t)
	token := w.token(t, "tenant-1")
	complete := func(id string, want int) string {
		status, body := s.do(t, http.MethodPost, "tenant-1.localhost", "/subtask/"+id+"/complete", url.Values{"complete": {"true"}},
			"Accept: application/json", "Content-Type: application/x-www-form-urlencoded", "Authorization: Bearer "+token)
		require.Equal(t, want, status, body)
		return body
	}
	const moving = "This account is being moved. Try again in a moment."
	first := fmt.Sprint(w.count(t, `select min(id) from "tenant-1".subtasks`))
	complete(first, 200)
	w.db.Exec(t, pgtest.Superuser, `revoke insert, update, delete on all tables in schema "tenant-1" from `+pgtest.Runtime)
	require.Contains(t, complete(first, 503), moving)
	status, _ := s.get(t, "tenant-1.localhost", "/subtasks/")
	require.Equal(t, 200, status, "reads go on")
	w.db.Exec(t, pgtest.Superuser, `grant insert on "tenant-1".accounts to `+pgtest.Runtime)
	require.NotContains(t, complete(first, 500), moving, "that is no move")

	require.Zero(t, s.end(t))
}
