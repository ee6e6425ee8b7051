package talk

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

// countByUnion counts over tenants who have a schema each.
func countByUnion(ctx context.Context, conn *pgx.Conn, schemas []string) (n int64, err error) {
	var parts []string
	for _, schema := range schemas {
		parts = append(parts, "SELECT id FROM "+pgx.Identifier{schema, "subtasks"}.Sanitize())
	}
	return n, conn.QueryRow(ctx, "SELECT count(*) FROM ("+strings.Join(parts, " UNION ALL ")+") AS everybody").Scan(&n)
}

// countByConnecting counts over tenants who have a database each.
func countByConnecting(ctx context.Context, connect func(database string) (*pgx.Conn, error), databases []string) (total int64, err error) {
	for _, database := range databases {
		conn, err := connect(database)
		if err != nil {
			return 0, err
		}
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM subtasks").Scan(&n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

var countAll = Experiment{
	Name: "count-all", Title: "Count over all tenants", code: []any{countByUnion, countByConnecting},
	Claim: "One question over all tenants is one short query in shared tables, a union as long as the list of tenants over schemas, and a connection for each tenant over databases.",
	run: func(ctx context.Context, t *trial) error {
		owner := func(database string) (*pgx.Conn, error) {
			return t.connect(ctx, t.lab.as(t.lab.server.Owner, database))
		}
		conn, err := owner(t.lab.server.Database)
		if err != nil {
			return err
		}
		var schemas, databases []string
		for _, tenant := range t.lab.Tenants {
			schemas, databases = append(schemas, t.lab.ownSchema(tenant).Schema), append(databases, t.lab.ownDatabase(tenant).Database)
		}
		t.begin()
		ways := []func() (int64, error){
			func() (int64, error) { return countByUnion(ctx, conn, []string{fullSchema}) },
			func() (int64, error) { return countByUnion(ctx, conn, schemas) },
			func() (int64, error) { return countByConnecting(ctx, owner, databases) },
		}
		for i, label := range []string{"shared tables", "a schema for each", "a database for each"} {
			if err := t.count(label, ways[i]); err != nil {
				return err
			}
		}
		t.end()
		t.expect(t.recorder.conns == 1+len(t.lab.Tenants), "%d connections", t.recorder.conns)
		return nil
	},
}

func (t *trial) count(label string, way func() (int64, error)) error {
	began, before := time.Now(), t.recorder.conns
	n, err := way()
	t.answer(label, "%d subtasks, %d new connections, %.1f ms", n, t.recorder.conns-before, float64(time.Since(began).Microseconds())/1000)
	t.expect(n == subtasksOfAll(len(t.lab.Tenants)), "%s: %d subtasks", label, n)
	return err
}

// moveBetween takes a project from one tenant and gives it to another, in what looks like one transaction.
func moveBetween(from, to context.Context, db *gorm.DB, project int64) error {
	return db.WithContext(from).Transaction(func(tx *gorm.DB) error {
		if err := tx.Where("id = ?", project).Delete(&models.Project{}).Error; err != nil {
			return err
		}
		return tx.WithContext(to).Create(&models.Project{Name: "moved"}).Error
	})
}

var twoDatabases = Experiment{
	Name: "two-databases", Title: "One transaction, two databases", code: []any{moveBetween},
	Claim: "A transaction is of one connection, and so of one database: what would change two tenants’ databases is refused, and the first change is rolled back.",
	run: func(ctx context.Context, t *trial) error {
		a, b := t.lab.ownDatabase(t.lab.Tenants[0]), t.lab.ownDatabase(t.lab.Tenants[1])
		pool, err := t.registry(t.lab.as(t.lab.server.Runtime, a.Database))
		if err != nil {
			return err
		}
		db, err := openGORM(pool, true)
		if err != nil {
			return err
		}
		from, to := scopes.WithTenant(ctx, a), scopes.WithTenant(ctx, b)
		spare := models.Project{Name: "spare"}
		if err := db.WithContext(from).Create(&spare).Error; err != nil {
			return err
		}
		t.begin()
		refused := moveBetween(from, to, db, spare.ID)
		t.end()
		undone := db.WithContext(from).Delete(&spare) // it is there again
		t.answer("error", "%v", refused)
		t.answer("the first change", "%d row was there again", undone.RowsAffected)
		t.expect(refused != nil && strings.Contains(refused.Error(), "database") && undone.RowsAffected == 1, "%v, %d rows", refused, undone.RowsAffected)
		t.stopped(Placement, "%v", refused)
		return undone.Error
	},
}

// countWhereItIs is raw SQL again, for a tenant with a database or a schema of its own.
func countWhereItIs(ctx context.Context, db *sql.DB) (n int64, err error) {
	return n, db.QueryRowContext(ctx, "SELECT count(*) FROM subtasks").Scan(&n)
}

var ownPlace = Experiment{
	Name: "own-place", Title: "Raw SQL in a place of one’s own", code: []any{countWhereItIs},
	Claim: "With a schema or a database for each tenant raw SQL sees one tenant’s tables, as the owner too, whom no policy binds.",
	run: func(ctx context.Context, t *trial) error {
		tenant := t.lab.Tenants[1]
		for _, place := range []scopes.Tenant{t.lab.ownSchema(tenant), t.lab.ownDatabase(tenant)} {
			pool, err := t.registry(t.lab.as(t.lab.server.Owner, place.Database))
			if err != nil {
				return err
			}
			n, err := countWhereItIs(scopes.WithTenant(ctx, place), pool)
			if err != nil {
				return err
			}
			t.answer(place.Placement.String(), "%d rows, all of its own", n)
			t.expect(n == subtasksOf(2), "%d rows in %s", n, place.Placement)
		}
		t.stopped(Placement, "it sees the tables of its placement")
		return nil
	},
}

// readNextDoor names another tenant's schema.
func readNextDoor(ctx context.Context, db *sql.DB, schema string) (n int64, err error) {
	return n, db.QueryRowContext(ctx, "SELECT count(*) FROM "+pgx.Identifier{schema, "subtasks"}.Sanitize()).Scan(&n)
}

var nextDoor = Experiment{
	Name: "next-door", Title: "Name the schema next door", code: []any{readNextDoor},
	Claim: "A search_path is a default and no wall: whoever names another schema reads it, as the role that all tenants share; row-level security is the wall there too.",
	run: func(ctx context.Context, t *trial) error {
		mine, theirs := t.lab.ownSchema(t.lab.Tenants[0]), t.lab.ownSchema(t.lab.Tenants[1])
		seen := map[string]int64{}
		for label, role := range map[string]*pgx.ConnConfig{"as the runtime role": t.lab.server.Runtime, "as the owner, whom no policy binds": t.lab.server.Owner} {
			pool, err := t.registry(t.lab.as(role, mine.Database))
			if err != nil {
				return err
			}
			if seen[label], err = readNextDoor(scopes.WithTenant(ctx, mine), pool, theirs.Schema); err != nil {
				return err
			}
		}
		t.end()
		for _, label := range []string{"as the runtime role", "as the owner, whom no policy binds"} {
			t.answer(label, "%d rows of Bolt’s", seen[label])
		}
		t.expect(seen["as the runtime role"] == 0 && seen["as the owner, whom no policy binds"] == subtasksOf(2), "%v", seen)
		t.stopped(RLS, "no rows")
		return nil
	},
}

// ways are the settings for a statement without a tenant.
func ways() map[string]scopes.Missing {
	return map[string]scopes.Missing{"warn": scopes.Warn, "error": scopes.Error, "panic": scopes.Panic}
}

var mandatory = Experiment{
	Name: "warn-error-panic", Title: "Warn, fail, or panic", code: []any{ways, forgetTheTenant},
	Claim: "A program of many years takes the filter up step by step: first a line in the log for each query without a tenant, then an error, then a panic.",
	run: func(ctx context.Context, t *trial) error {
		for _, label := range []string{"warn", "error", "panic"} {
			log := &lines{}
			db, err := openWith(t.plain(t.lab.as(t.lab.server.Runtime, t.lab.server.Database), unguardedSchema), true,
				scopes.Config{Missing: ways()[label], Logger: log.logger()})
			if err != nil {
				return err
			}
			out, panicked, err := guarded(func() (outcome, error) {
				//tenantvet:ignore the experiment is about this mistake
				subtasks, err := forgetTheTenant(db)
				return outcome{came: fmt.Sprintf("%d rows of everybody, and %d warning", len(subtasks), log.n)}, err
			})
			switch {
			case panicked:
				t.answer(label, "panic: %v", err)
			case err != nil:
				t.answer(label, "%v", err)
			default:
				t.answer(label, "%s", out.came)
			}
			t.expect(panicked == (label == "panic") && (err == nil) == (label == "warn") && (log.n == 1) == (label == "warn"), "%s: %v, %d warnings", label, err, log.n)
		}
		t.stopped(Scope, "an error and a panic; the warning lets it go")
		return nil
	},
}
