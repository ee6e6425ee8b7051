package talk

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newLab makes a lab of the test's own.
func newLab(t testing.TB) *Lab {
	t.Helper()
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	lab, err := Open(t.Context(), serverOf(db), func(string) {})
	require.NoError(t, err)
	return lab
}

func serverOf(db *pgtest.DB) Server {
	return Server{Database: db.Name + "_lab", Owner: db.Config(pgtest.Owner), Runtime: db.Config(pgtest.Runtime), Superuser: db.Config(pgtest.Superuser)}
}

// every is each way to switch the layers.
func every() (all []Layers) {
	for bits := range 16 {
		all = append(all, Layers{bits&1 > 0, bits&2 > 0, bits&4 > 0, bits&8 > 0})
	}
	return all
}

// TestClaims runs every experiment, and attacks with every combination of layers.
func TestClaims(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	for _, e := range Experiments() {
		ways := []Layers{AllLayers()}
		if e.Switches && !testing.Short() {
			ways = every()
		}
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, e.Title)
			require.NotEmpty(t, e.Claim)
			require.True(t, strings.HasPrefix(e.Code(), "// "), "the code has a comment for the slide: %s", e.Code())
			for _, on := range ways {
				result, err := lab.Run(t.Context(), e, on)
				if missing, ok := errors.AsType[*MissingError](err); ok && os.Getenv("CI") != "true" {
					t.Skip(missing)
				}
				require.NoError(t, err, on)
				require.Empty(t, result.Untrue, "%s: %+v", on, result)
				require.NotEmpty(t, result.Answers, on)
			}
		})
	}
}
