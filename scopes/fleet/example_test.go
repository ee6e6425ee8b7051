package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
	"tenanted/scopes/fleet"
	"tenanted/scopes/pgtest"
)

// Three tenants' schemas are made and brought to the newest version. A second run finds nothing to do.
func Example() {
	owner, done := exampleDatabase()
	defer done()
	f, err := fleet.New(fleet.Config{
		Connect: func(scopes.Placement) (*pgx.ConnConfig, error) { return owner, nil },
		Migrations: fstest.MapFS{"00001_notes.sql": {Data: []byte( // in a program, an embed.FS
			"-- +goose Up\ncreate table notes (id bigint primary key);\n-- +goose Down\ndrop table notes;\n")}},
		By: "ann",
	})
	if err != nil {
		panic(err)
	}
	placements := []scopes.Placement{{Schema: "acme"}, {Schema: "bolt"}, {Schema: "coil"}}
	for range 2 {
		results, err := f.Up(context.Background(), placements)
		for _, r := range results {
			fmt.Println(r.Schema, r.From, r.To, r.Tries)
		}
		fmt.Println(err)
	}
	// Output:
	// acme 0 1 1
	// bolt 0 1 1
	// coil 0 1 1
	// <nil>
	// acme 1 1 0
	// bolt 1 1 0
	// coil 1 1 0
	// <nil>
}

// exampleDatabase is a database for an example, which has no test to belong to.
func exampleDatabase() (owner *pgx.ConnConfig, done func()) {
	t := &exampleT{}
	db := pgtest.Database(t, "empty", func(context.Context, *pgx.Conn) error { return nil })
	return db.Config(pgtest.Owner), t.cleanup
}

type exampleT struct {
	testing.TB
	cleanup func()
}

func (*exampleT) Name() string              { return "an example" }
func (*exampleT) Helper()                   {}
func (t *exampleT) Cleanup(f func())        { t.cleanup = f }
func (*exampleT) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (*exampleT) FailNow()                  { panic("failed") }
