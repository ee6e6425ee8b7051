package archive_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"tenanted/scopes"
	"tenanted/scopes/archive"
)

const holdRows = `
	insert into orgs (id, name) values (1, 'one'), (2, 'two');
	insert into labels (org_id, id, text) values (1, 1, 'a'), (2, 1, 'a');
	insert into items (org_id, id, title) overriding system value values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'a'), (2, 2, 'b');`

// changes are statements of somebody else, for the tenant %d.
var changes = []string{
	"update orgs set name = 'x' where id = %d",
	"update items set title = 'x' where org_id = %d and id = 1",
	"delete from labels where org_id = %d and id = 1",
	"insert into labels (org_id, id, text) values (%d, 9, 'x')",
	"insert into items (org_id, id, title) overriding system value values (%d, 9, 'x')",
	"insert into items (org_id, id, parent_id) overriding system value values (%d, 9, 1)",
	"insert into item_labels (org_id, label_id, item_id) values (%d, 1, 2)",
	"insert into item_labels (org_id, label_id, item_id) select org_id, 1, id from items where org_id = %d",
}

func waits(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == "55P03"
}

func TestHoldMakesChangesOfOneTenantWait(t *testing.T) {
	t.Parallel()
	p := itemPlaces(t).shared
	m := parse(t, &Org{}, &Item{}, &Label{})
	_, err := p.conn.Exec(t.Context(), holdRows)
	require.NoError(t, err)
	other, err := pgx.ConnectConfig(t.Context(), p.conn.Config())
	require.NoError(t, err)
	defer other.Close(context.Background())
	_, err = other.Exec(t.Context(), "set lock_timeout = '100ms'")
	require.NoError(t, err)
	change := func(statement string, tenant int) error { // and take it back
		tx, err := other.Begin(t.Context())
		require.NoError(t, err)
		defer tx.Rollback(context.Background())
		_, err = tx.Exec(t.Context(), fmt.Sprintf(statement, tenant))
		return err
	}
	for _, alone := range []bool{false, true} {
		require.NoError(t, p.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
			require.NoError(t, archive.Hold(t.Context(), tx, m, scopes.Tenant{ID: 1}, alone))
			for _, statement := range changes {
				require.True(t, waits(change(statement, 1)), statement)
				err := change(statement, 2)
				require.Equal(t, alone, waits(err), "%s: %v", statement, err)
			}
			var n int
			require.NoError(t, other.QueryRow(t.Context(), "select count(*) from items where org_id = 1").Scan(&n))
			require.Equal(t, 2, n, "reads go on")
			return nil
		}))
		for _, statement := range changes {
			require.NoError(t, change(statement, 1), statement)
		}
	}
}

// A table whose rows refer to nothing that can be locked is locked as a whole.
func TestHoldOfRowsWithoutParents(t *testing.T) {
	t.Parallel()
	type Loose struct {
		OrgID scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
		ID    int64           `gorm:"primaryKey"`
	}
	p := itemPlaces(t).shared
	_, err := p.conn.Exec(t.Context(), "create table looses (org_id bigint, id bigint, primary key (org_id, id)); insert into looses values (1, 1)")
	require.NoError(t, err)
	other, err := pgx.ConnectConfig(t.Context(), p.conn.Config())
	require.NoError(t, err)
	defer other.Close(context.Background())
	_, err = other.Exec(t.Context(), "set lock_timeout = '100ms'")
	require.NoError(t, err)
	// The tenant has no row in orgs that another one could refer to, or that would be in the way of a second one.
	require.NoError(t, p.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		require.NoError(t, archive.Hold(t.Context(), tx, parse(t, &Loose{}, &Org{}, &Item{}, &Label{}), scopes.Tenant{ID: 1}, false))
		for _, statement := range []string{"insert into looses values (1, 2)", "insert into orgs (id, name) values (1, 'x')"} {
			_, err := other.Exec(t.Context(), statement)
			require.True(t, waits(err), statement)
		}
		return nil
	}))
}

// While others write without a pause, an export behind Hold has everything that was ever acknowledged, and nothing is
// acknowledged before the end.
func TestNothingAcknowledgedIsMissingBehindHold(t *testing.T) {
	t.Parallel()
	p := itemPlaces(t).shared
	m := parse(t, &Org{}, &Item{}, &Label{})
	_, err := p.conn.Exec(t.Context(), holdRows)
	require.NoError(t, err)
	stop, cancel := context.WithCancel(t.Context())
	var mutex sync.Mutex
	acknowledged := 0
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			conn, err := pgx.ConnectConfig(t.Context(), p.conn.Config())
			if err != nil {
				return
			}
			defer conn.Close(context.Background())
			for n := 0; stop.Err() == nil; n++ {
				id := 100 + n*4 + i
				if _, err := conn.Exec(stop, "with l as (insert into labels (org_id, id, text) values (1, $1, 'x') returning id) "+
					"insert into items (org_id, id, title) overriding system value select 1, id, 'x' from l", id); err == nil {
					mutex.Lock()
					acknowledged++
					mutex.Unlock()
				}
			}
		})
	}
	count := func() int { mutex.Lock(); defer mutex.Unlock(); return acknowledged }
	require.Eventually(t, func() bool { return count() > 50 }, 10*time.Second, time.Millisecond)
	reader := p
	reader.conn, err = pgx.ConnectConfig(t.Context(), p.conn.Config())
	require.NoError(t, err)
	defer reader.conn.Close(context.Background())
	require.NoError(t, p.in(t, pgx.ReadCommitted, func(tx pgx.Tx) error {
		require.NoError(t, archive.Hold(t.Context(), tx, m, scopes.Tenant{ID: 1}, false))
		before := count()
		_, contents := reader.export(t, m, 1)
		time.Sleep(20 * time.Millisecond)
		require.GreaterOrEqual(t, contents.Rows(), int64(1+1+2+2*before))
		require.LessOrEqual(t, count()-before, 4, "only what was written before, and not yet counted")
		require.EqualValues(t, 1+1+2+2*count(), contents.Rows())
		return nil
	}))
	cancel()
	writers.Wait()
}
