package scopes_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// Nosy is a label with a hook that loses the tenant's context.
type Nosy struct {
	ID    int64
	OrgID scopes.TenantID
	Name  string
}

func (Nosy) TableName() string { return "labels" }

func (Nosy) BeforeCreate(tx *gorm.DB) error {
	return tx.WithContext(context.Background()).Find(&[]Board{}).Error //tenantvet:ignore the mistake under test
}

// losses are statements without a tenant, or with one that is lost on the way. They are given a transaction, and
// the same transaction with tenant 1.
var losses = map[string]func(none, tx *gorm.DB) error{
	"statement":                     func(none, _ *gorm.DB) error { return none.Find(&[]Board{}).Error },
	"write":                         func(none, _ *gorm.DB) error { return none.Create(&Label{OrgID: 1}).Error },
	"raw":                           func(none, _ *gorm.DB) error { return none.Exec("select 1").Error },
	"rows":                          func(none, _ *gorm.DB) error { return none.Model(&Board{}).Select("count(*)").Row().Scan(new(int64)) },
	"child of an untenanted parent": func(none, _ *gorm.DB) error { return none.Create(&Country{Labels: []Label{{OrgID: 1}}}).Error },
	"hook":                          func(_, tx *gorm.DB) error { return tx.Create(&Nosy{}).Error },
	"preload": func(none, tx *gorm.DB) error {
		return tx.Preload("Cards", func(db *gorm.DB) *gorm.DB { return db.WithContext(none.Statement.Context) }).Find(&[]Board{}).Error
	},
	"subquery in a condition": func(none, tx *gorm.DB) error {
		return tx.Where("name = (?)", none.Model(&Board{}).Select("max(name)")).Find(&[]Board{}).Error
	},
	"subquery in a write": func(none, tx *gorm.DB) error {
		return tx.Model(&Board{ID: 11}).Update("name", none.Model(&Board{}).Select("max(name)")).Error
	},
	"savepoint": func(none, _ *gorm.DB) error {
		return none.Transaction(func(tx *gorm.DB) error { return tx.Find(&[]Board{}).Error })
	},
	"filter": func(none, _ *gorm.DB) error { return none.Scopes(scopes.FilterCurrentTenant).Find(&[]Board{}).Error },
}

// begin begins a transaction for tenant 1, adds a board in it, and returns it without a tenant and with.
func begin(t *testing.T, db alone) (none, tx *gorm.DB) {
	tx = db.as(t, 1).Begin()
	require.NoError(t, tx.Create(&Board{Name: "half"}).Error)
	return tx.WithContext(t.Context()), tx
}

func inUse(t *testing.T, db alone) int {
	pool, err := db.DB.DB()
	require.NoError(t, err)
	return pool.Stats().InUse
}

// TestPanicRollsBack is the rule: a statement that panics rolls back the transaction it runs in, also the caller's.
// Nobody here calls Rollback.
func TestPanicRollsBack(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	for name, lose := range losses {
		none, tx := begin(t, db)
		var missing *scopes.TenantMissingError
		func() {
			defer func() {
				err, _ := recover().(error)
				require.ErrorAs(t, err, &missing, name)
			}()
			_ = lose(none, tx)
		}()
		require.Zero(t, inUse(t, db), name)
		require.ErrorIs(t, tx.Create(&Board{}).Error, sql.ErrTxDone, name)
		require.ErrorIs(t, tx.Commit().Error, sql.ErrTxDone, name)
	}
	db.db.AssertQuiet(t)
	require.Equal(t, "4", db.ask(t, "select count(*)::text from boards"))
}

// A caller who recovers inside Transaction gets an error from it, and none of its work is committed.
func TestPanicEndsTheCallersTransaction(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	for _, depth := range []int{1, 2} {
		err := nested(db.as(t, 1), depth, func(tx *gorm.DB) error {
			require.NoError(t, tx.Create(&Board{}).Error)
			require.Panics(t, func() { tx.WithContext(t.Context()).Find(&[]Board{}) })
			return nil
		})
		require.ErrorIs(t, err, sql.ErrTxDone)
		require.Zero(t, inUse(t, db))
	}
	require.Equal(t, "4", db.ask(t, "select count(*)::text from boards"))
}

func nested(db *gorm.DB, depth int, f func(*gorm.DB) error) error {
	if depth == 0 {
		return f(db)
	}
	return db.Transaction(func(tx *gorm.DB) error { return nested(tx, depth-1, f) })
}

// With Error, the statement fails before anything is sent, and the transaction is the caller's to end.
func TestErrorLeavesTheTransaction(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{Missing: scopes.Error})
	for name, lose := range losses {
		none, tx := begin(t, db)
		var missing *scopes.TenantMissingError
		if name == "filter" { // which panics whatever the setting
			require.Panics(t, func() { _ = lose(none, tx) })
			require.Zero(t, inUse(t, db))
			continue
		}
		require.ErrorAs(t, lose(none, tx), &missing, name)
		require.NoError(t, tx.Commit().Error, name)
		require.Zero(t, inUse(t, db), name)
	}
	db.db.AssertQuiet(t)
	require.Equal(t, "4 10", db.ask(t, "select count(*) filter (where name <> 'half') || ' ' || count(*) filter (where name = 'half') from boards"))
}

// With Warn, the statement runs, in the transaction it was given.
func TestWarnKeepsTheTransaction(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{Missing: scopes.Warn, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	for name, lose := range losses {
		if name == "filter" {
			continue
		}
		none, tx := begin(t, db)
		require.NoError(t, lose(none, tx), name)
		require.NoError(t, tx.Rollback().Error, name)
		require.Zero(t, inUse(t, db), name)
	}
	require.Equal(t, "4 2 1", db.ask(t, `select (select count(*) from boards) || ' ' || (select count(*) from labels) || ' ' ||
		(select count(*) from countries)`))
}

// GORM begins a transaction of its own for a write. What panics inside, with no tenant, must not leave it open.
func TestPanicInsideGORMsTransaction(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	lost := func() *gorm.DB { return db.Model(&Board{}).Select("max(name)") }
	for name, write := range map[string]func() *gorm.DB{
		"value":     func() *gorm.DB { return db.as(t, 1).Model(&Board{OrgID: 1, ID: 11}).Update("name", lost()) },
		"condition": func() *gorm.DB { return db.as(t, 1).Where("name = (?)", lost()).Delete(&Board{}) },
		"create": func() *gorm.DB {
			return db.as(t, 1).Model(&Board{}).Create(map[string]any{"name": clause.Expr{SQL: "(?)", Vars: []any{lost()}}})
		},
		"child of an untenanted parent": func() *gorm.DB { return db.Create(&Country{Name: "Erewhon", Labels: []Label{{Name: "x"}}}) },
	} {
		var missing *scopes.TenantMissingError
		require.Panics(t, func() { write() }, name)
		require.NotErrorAs(t, db.as(t, 1).First(&Board{}).Error, &missing)
	}
	require.Equal(t, "0", db.ask(t, `select count(*)::text from pg_stat_activity where datname = current_database() and state like 'idle in%'`))
	require.Equal(t, "1", db.ask(t, `select count(*)::text from countries`))
}

// A filter for another tenant panics in Scopes, before there is a callback.
func TestFilterRollsBack(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	_, tx := begin(t, db)
	require.Panics(t, func() { tx.Scopes(scopes.FilterTenant(2)).Find(&[]Board{}) })
	require.Zero(t, inUse(t, db))
}

// TestRenamedCallback pretends that a later GORM calls one of its callbacks something else.
func TestRenamedCallback(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gorm:query", "gorm:preload", "gorm:after_query"} {
		db := dry(t)
		renamed := db.Callback().Query().Get(name)
		require.NoError(t, db.Callback().Query().Remove(name))
		require.NoError(t, db.Callback().Query().Register(name+"_2", renamed))
		require.ErrorContains(t, db.Use(scopes.NewPlugin(scopes.Config{})), `GORM has no callback "`+name+`"`)
	}
	for _, name := range []string{"gorm:create", "gorm:save_after_associations"} {
		db := dry(t)
		require.NoError(t, db.Callback().Create().Remove(name))
		require.ErrorContains(t, db.Use(scopes.NewPlugin(scopes.Config{})), name)
	}
	for _, name := range []string{"gorm:update", "gorm:setup_reflect_value"} {
		db := dry(t)
		require.NoError(t, db.Callback().Update().Remove(name))
		require.ErrorContains(t, db.Use(scopes.NewPlugin(scopes.Config{})), name)
	}
	for name, remove := range map[string]func(*gorm.DB, string) error{
		"gorm:delete": func(db *gorm.DB, name string) error { return db.Callback().Delete().Remove(name) },
		"gorm:row":    func(db *gorm.DB, name string) error { return db.Callback().Row().Remove(name) },
		"gorm:raw":    func(db *gorm.DB, name string) error { return db.Callback().Raw().Remove(name) },
	} {
		db := dry(t)
		require.NoError(t, remove(db, name))
		require.ErrorContains(t, db.Use(scopes.NewPlugin(scopes.Config{})), name)
	}
}
