package scopes_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/session"
)

// entries are GORM's ways to the database, each used on tenanted rows. An entry returns the error it got.
var entries = map[string]func(*gorm.DB) error{
	"Find":    func(db *gorm.DB) error { return db.Find(&[]Board{}).Error },
	"First":   func(db *gorm.DB) error { return db.First(&Board{}).Error },
	"Take":    func(db *gorm.DB) error { return db.Take(&Board{}).Error },
	"Last":    func(db *gorm.DB) error { return db.Last(&Board{}).Error },
	"Count":   func(db *gorm.DB) error { return db.Model(&Board{}).Count(new(int64)).Error },
	"Pluck":   func(db *gorm.DB) error { return db.Model(&Board{}).Pluck("name", &[]string{}).Error },
	"Scan":    func(db *gorm.DB) error { return db.Model(&Board{}).Scan(&[]map[string]any{}).Error },
	"Joins":   func(db *gorm.DB) error { return db.Joins("Board").Find(&[]Card{}).Error },
	"Preload": func(db *gorm.DB) error { return db.Preload("Cards").Find(&[]Board{}).Error },
	"FindInBatches": func(db *gorm.DB) error {
		return db.FindInBatches(&[]Board{}, 1, func(*gorm.DB, int) error { return nil }).Error
	},
	"FirstOrInit":   func(db *gorm.DB) error { return db.FirstOrInit(&Board{}, "name = 'x'").Error },
	"FirstOrCreate": func(db *gorm.DB) error { return db.FirstOrCreate(&Label{}, Label{OrgID: 1, Name: "x"}).Error },
	"Row":           func(db *gorm.DB) error { return db.Model(&Board{}).Select("count(*)").Row().Scan(new(int64)) },
	"Rows": func(db *gorm.DB) error {
		rows, err := db.Model(&Board{}).Rows()
		if err != nil {
			return err
		}
		return rows.Close()
	},
	"Raw.Scan": func(db *gorm.DB) error { return db.Raw("select 1").Scan(new(int)).Error },
	"Raw.Find": func(db *gorm.DB) error { return db.Raw("select * from boards").Find(&[]Board{}).Error },
	"Raw.Row":  func(db *gorm.DB) error { return db.Raw("select 1").Row().Scan(new(int)) },
	"Exec":     func(db *gorm.DB) error { return db.Exec("select 1").Error },
	"Table":    func(db *gorm.DB) error { return db.Table("boards").Find(&[]map[string]any{}).Error },
	"TableAs":  func(db *gorm.DB) error { return db.Table("boards b").Count(new(int64)).Error },

	"Create":    func(db *gorm.DB) error { return db.Create(&Label{OrgID: 1}).Error },
	"CreateMap": func(db *gorm.DB) error { return db.Model(&Label{}).Create(map[string]any{"org_id": 1}).Error },
	"CreateInBatches": func(db *gorm.DB) error {
		return db.CreateInBatches([]Label{{OrgID: 1}, {OrgID: 1}, {OrgID: 1}}, 2).Error
	},
	"Upsert": func(db *gorm.DB) error {
		return db.Clauses(clause.OnConflict{DoNothing: true}).Create(&Label{OrgID: 1}).Error
	},
	"Child":         func(db *gorm.DB) error { return db.Create(&Country{Labels: []Label{{OrgID: 1}}}).Error },
	"Save":          func(db *gorm.DB) error { return db.Save(&Label{ID: 1, OrgID: 1}).Error },
	"SaveNew":       func(db *gorm.DB) error { return db.Save(&Label{OrgID: 1}).Error },
	"Update":        func(db *gorm.DB) error { return db.Model(&Label{ID: 1}).Update("name", "x").Error },
	"Updates":       func(db *gorm.DB) error { return db.Model(&Label{ID: 1}).Updates(Label{Name: "x"}).Error },
	"UpdateColumn":  func(db *gorm.DB) error { return db.Model(&Label{ID: 1}).UpdateColumn("name", "x").Error },
	"UpdateColumns": func(db *gorm.DB) error { return db.Model(&Label{ID: 1}).UpdateColumns(Label{Name: "x"}).Error },
	"Delete":        func(db *gorm.DB) error { return db.Delete(&Label{}, "id = 1").Error },
	"SoftDelete":    func(db *gorm.DB) error { return db.Delete(&Card{}, "id = 111").Error },

	"Association.Find": func(db *gorm.DB) error {
		return db.Model(&Board{OrgID: 1, ID: 11}).Association("Cards").Find(&[]Card{})
	},
	"Association.Append": func(db *gorm.DB) error {
		return db.Model(&Board{OrgID: 1, ID: 11}).Association("Cards").Append(&Card{})
	},
	"Association.Replace": func(db *gorm.DB) error {
		return db.Model(&Card{Model: gorm.Model{ID: 111}}).Association("Tags").Replace()
	},
	"Association.Delete": func(db *gorm.DB) error {
		return db.Model(&Board{OrgID: 1, ID: 11}).Association("Cards").Unscoped().Delete(&Card{Model: gorm.Model{ID: 111}})
	},
	"Association.Clear": func(db *gorm.DB) error {
		return db.Model(&Board{OrgID: 1, ID: 11}).Association("Cards").Unscoped().Clear()
	},
	"Association.Count": func(db *gorm.DB) error {
		association := db.Model(&Board{OrgID: 1, ID: 11}).Association("Cards")
		association.Count()
		return association.Error
	},

	"Transaction": func(db *gorm.DB) error {
		return db.Transaction(func(tx *gorm.DB) error { return tx.Find(&[]Board{}).Error })
	},
	"Nested": func(db *gorm.DB) error {
		return db.Transaction(func(tx *gorm.DB) error {
			return tx.Transaction(func(tx *gorm.DB) error { return tx.Find(&[]Board{}).Error })
		})
	},
	"SavePoint": func(db *gorm.DB) error {
		return db.Transaction(func(tx *gorm.DB) error { return tx.Exec("savepoint here").Error }) // GORM's own loses the error
	},
	"Connection": func(db *gorm.DB) error {
		return db.Connection(func(tx *gorm.DB) error { return tx.Find(&[]Board{}).Error })
	},
	"PrepareStmt": func(db *gorm.DB) error { return db.Session(&gorm.Session{PrepareStmt: true}).Find(&[]Board{}).Error },
	"DryRun":      func(db *gorm.DB) error { return db.Session(&gorm.Session{DryRun: true}).Find(&[]Board{}).Error },
	"ToSQL": func(db *gorm.DB) (err error) {
		db.ToSQL(func(tx *gorm.DB) *gorm.DB {
			tx = tx.Find(&[]Board{})
			err = tx.Error
			return tx
		})
		return err
	},
	"NewDB": func(db *gorm.DB) error { return db.Session(&gorm.Session{NewDB: true}).Find(&[]Board{}).Error },
	"Generic": func(db *gorm.DB) error {
		_, err := gorm.G[Board](db).Find(db.Statement.Context)
		return err
	},
	"Generic.Update": func(db *gorm.DB) error {
		_, err := gorm.G[Label](db).Where("id = 1").Update(db.Statement.Context, "name", "x")
		return err
	},
	"Generic.Raw": func(db *gorm.DB) error {
		_, err := gorm.G[Board](db).Raw("select * from boards").Find(db.Statement.Context)
		return err
	},
	"Generic.Exec": func(db *gorm.DB) error { return gorm.G[Board](db).Exec(db.Statement.Context, "select 1") },
	"Migrator":     func(db *gorm.DB) error { return db.Migrator().DropTable("labels") },
}

// around are the places where code without a tenant may be. The second argument is tenant 1's context.
var around = map[string]func(*gorm.DB, context.Context, func(*gorm.DB) error) error{
	"outside a transaction": func(db *gorm.DB, _ context.Context, entry func(*gorm.DB) error) error { return entry(db) },
	"in a transaction":      func(db *gorm.DB, _ context.Context, entry func(*gorm.DB) error) error { return db.Transaction(entry) },
	"in the tenant's transaction": func(db *gorm.DB, tenant context.Context, entry func(*gorm.DB) error) error {
		none := db.Statement.Context
		return db.WithContext(tenant).Transaction(func(tx *gorm.DB) error { return entry(tx.WithContext(none)) })
	},
	"in the tenant's savepoint": func(db *gorm.DB, tenant context.Context, entry func(*gorm.DB) error) error {
		none := db.Statement.Context
		return db.WithContext(tenant).Transaction(func(tx *gorm.DB) error {
			return tx.Transaction(func(tx *gorm.DB) error { return entry(tx.WithContext(none)) })
		})
	},
	"after Begin, with no one to roll back": func(db *gorm.DB, tenant context.Context, entry func(*gorm.DB) error) error {
		none := db.Statement.Context
		tx := db.WithContext(tenant).Begin()
		err := entry(tx.WithContext(none))
		tx.Rollback()
		return err
	},
	"on a kept connection": func(db *gorm.DB, tenant context.Context, entry func(*gorm.DB) error) error {
		none := db.Statement.Context
		return db.WithContext(tenant).Connection(func(tx *gorm.DB) error { return entry(tx.WithContext(none)) })
	},
	"in prepared-statement mode": func(db *gorm.DB, _ context.Context, entry func(*gorm.DB) error) error {
		return entry(db.Session(&gorm.Session{PrepareStmt: true}))
	},
}

func eachEntry(t *testing.T, db alone, check func(t *testing.T, name string, call func() error)) {
	tenant := scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1})
	pool, err := db.DB.DB()
	require.NoError(t, err)
	for place, run := range around {
		for name, entry := range entries {
			if name == "Connection" && (place == "on a kept connection" || strings.HasPrefix(place, "after Begin")) {
				continue // GORM refuses the first, and leaves the transaction for another connection in the second
			}
			name := name + " " + place
			check(t, name, func() error { return run(db.WithContext(t.Context()), tenant, entry) })
			require.Zero(t, pool.Stats().InUse, "connections in use after %s", name)
		}
	}
	db.db.AssertQuiet(t)
	require.Equal(t, "2", db.ask(t, "select count(*)::text from labels"))
}

func TestEveryEntryPanics(t *testing.T) {
	t.Parallel()
	eachEntry(t, scopeAlone(t, scopes.Config{}), func(t *testing.T, name string, call func() error) {
		var missing *scopes.TenantMissingError
		func() {
			defer func() {
				err, _ := recover().(error)
				require.ErrorAs(t, err, &missing, "%s did not panic", name)
			}()
			_ = call()
		}()
		require.NotEmpty(t, missing.Operation, name)
		require.NotEmpty(t, missing.Model, name)
	})
}

func TestEveryEntryReturnsTheError(t *testing.T) {
	t.Parallel()
	eachEntry(t, scopeAlone(t, scopes.Config{Missing: scopes.Error}), func(t *testing.T, name string, call func() error) {
		var missing *scopes.TenantMissingError
		require.ErrorAs(t, call(), &missing, name)
	})
}

func TestEveryEntryWarns(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	db := scopeAlone(t, scopes.Config{Missing: scopes.Warn, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	errUndo := errors.New("undo")
	for name, entry := range entries {
		log.Reset()
		err := db.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
			require.NoError(t, entry(tx), name)
			return errUndo
		})
		require.ErrorIs(t, err, errUndo)
		require.Contains(t, log.String(), "statement without a tenant", name)
		require.NotRegexp(t, `without a tenant" .* at=\S*(?:/gorm|scopes/[a-z]+\.go|unknown)`, log.String(), name)
		require.Regexp(t, `at=\S+/entry_test\.go:\d+`, log.String(), name)
	}
	db.db.AssertQuiet(t)
}

// Where the scope only warns, the session still refuses, before anything is sent.
func TestEveryEntryStopsAtTheSession(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.NewTextHandler(&lockedBuffer{}, nil))
	db := pgtest.Database(t, "scopes-strangers", build)
	pool := session.Open(db.Config(pgtest.Owner))
	pool.SetMaxOpenConns(2)
	t.Cleanup(func() { _ = pool.Close() })
	warns := alone{openGORM(t, pool, scopes.Config{Missing: scopes.Warn, Logger: quiet}), db}
	eachEntry(t, warns, func(t *testing.T, name string, call func() error) {
		if strings.HasPrefix(name, "DryRun") || strings.HasPrefix(name, "ToSQL") {
			return // nothing is sent
		}
		if strings.HasSuffix(name, "Row in prepared-statement mode") {
			return // GORM's row is a nil one then
		}
		var missing *scopes.TenantMissingError
		require.ErrorAs(t, call(), &missing, name)
	})
}

// An entry that panics on one goroutine must not disturb the others' use of the pool.
func TestPanicsOnTheSidesOfWork(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var wait sync.WaitGroup
	failed := make(chan error, 100)
	for i := range 20 {
		wait.Go(func() {
			defer func() { _ = recover() }()
			var boards []Board
			if err := db.as(t, 1).Find(&boards).Error; err != nil || len(boards) != 2 {
				failed <- fmt.Errorf("%d boards: %w", len(boards), err)
			}
			if i%2 == 0 {
				_ = entries["Child"](db.WithContext(t.Context()))
			}
		})
	}
	wait.Wait()
	close(failed)
	require.NoError(t, <-failed)
}

// lockedBuffer is a log that several goroutines may write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
