package tenancy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

// behindPooler is cfg with PgBouncer in front of its server.
func behindPooler(t *testing.T, db *pgtest.DB, strategy config.Strategy, lines ...string) config.Config {
	t.Helper()
	through := pgtest.PgBouncer(t, db.Config(pgtest.Owner), lines...)
	return settings(t, db, strategy, "PGHOST="+through.Host, fmt.Sprintf("PGPORT=%d", through.Port))
}

// What swallows start-up parameters leaves a session in a schema that nobody asked for.
var poolers = map[string]string{"strict": "", "ignoring": "ignore_startup_parameters = search_path, extra_float_digits"}

func TestMigrateRefusesAPooler(t *testing.T) {
	t.Parallel()
	for name, line := range poolers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
				withTenants(t, cfg, 1)
				behind := behindPooler(t, db, cfg.Strategy, line)
				setup := newSetup(t, behind, nil)
				err := setup.Run(t.Context())
				var pooler *fleet.PoolerError
				require.ErrorAs(t, err, &pooler)
				require.NotContains(t, err.Error(), "\n")
				require.ErrorContains(t, err, "set PGHOST and PGPORT to the PostgreSQL server itself")
				placements, err := setup.Placements(t.Context())
				require.NoError(t, err)
				require.ErrorAs(t, setup.Down(t.Context(), placements, func(migrations.Result) {}), &pooler)
			})
		})
	}
}

// The owner's transactions say themselves where they work: two of one pooled session never mix up their tenants. Several creators
// at once share the pooler's only server connection.
func TestCreateThroughAPooler(t *testing.T) {
	t.Parallel()
	for name, line := range poolers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachStrategy(t, func(t *testing.T, db *pgtest.DB, cfg config.Config) {
				withTenants(t, cfg, 3) // with all placements, so that only rows are left to be written
				rows := map[string]string{}
				for n := range 3 {
					rows[numbered(n).Slug] = numbered(n).Name
				}
				behind := behindPooler(t, db, cfg.Strategy, line)
				var group sync.WaitGroup
				for n := range 3 {
					group.Go(func() {
						creator := newCreator(t, behind)
						for range 20 {
							renamed := numbered(n)
							_, err := creator.Create(t.Context(), renamed, func(ctx context.Context, in tenancy.Placed) error {
								return in.Begin(ctx, func(tx pgx.Tx) error {
									_, err := tx.Exec(ctx, "update projects set name = name || '.' where account_id = $1", renamed.ID)
									return err
								})
							})
							if !assert.NoError(t, err) {
								return
							}
						}
					})
				}
				group.Wait()
				for slug, name := range rows {
					got, err := projectOf(t, cfg, slug)
					require.NoError(t, err)
					require.Equal(t, name+"....................", got)
				}
			})
		})
	}
}
