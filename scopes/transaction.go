package scopes

import (
	"errors"
	"fmt"
	"reflect"

	"gorm.io/gorm"
)

// A statement that panics rolls back the transaction it runs in, even if the caller began it, and the panic continues. GORM rolls
// nothing back: a statement refused inside another one (a child, a subquery, what a hook does) would keep the
// transaction that GORM began around the write, and its connection, forever. For a transaction that the caller began
// the rule is the same: half of it must not be committed by a caller who recovers, and a caller who forgot to defer
// Rollback must not lose the connection. What follows on that transaction fails with sql.ErrTxDone.

// processor is what GORM calls the callbacks of one kind of statement; its own type has no name to use.
type processor interface {
	Get(name string) func(*gorm.DB)
	Replace(name string, f func(*gorm.DB)) error
}

// callbacks are GORM's callbacks that may run another statement, a hook or the caller's code. Those of the plugin are
// registered beside them, so all of these names must exist.
func callbacks(db *gorm.DB) map[processor][]string {
	c := db.Callback()
	return map[processor][]string{
		c.Create(): {"gorm:before_create", "gorm:save_before_associations", "gorm:create",
			"gorm:save_after_associations", "gorm:after_create"},
		c.Query(): {"gorm:query", "gorm:preload", "gorm:after_query"},
		c.Update(): {"gorm:setup_reflect_value", "gorm:before_update", "gorm:save_before_associations", "gorm:update",
			"gorm:save_after_associations", "gorm:after_update"},
		c.Delete(): {"gorm:before_delete", "gorm:delete_before_associations", "gorm:delete", "gorm:after_delete"},
		c.Row():    {"gorm:row"},
		c.Raw():    {"gorm:raw"},
	}
}

// requireCallbacks returns an error that names the callbacks that GORM does not have under the names known here. GORM
// would say nothing: it runs a callback that is to come before an unknown one at the end, when the statement was sent.
func requireCallbacks(db *gorm.DB) error {
	var errs []error
	for p, names := range callbacks(db) {
		for _, name := range names {
			if p.Get(name) == nil {
				errs = append(errs, fmt.Errorf("scopes: GORM has no callback %q: use a version of gorm.io/gorm that has it, "+
					"and use the plugin before anything that removes callbacks", name))
			}
		}
	}
	return errors.Join(errs...)
}

// rollBackPanics applies the rule to GORM's callbacks.
func rollBackPanics(db *gorm.DB) error {
	var errs []error
	for p, names := range callbacks(db) {
		for _, name := range names {
			errs = append(errs, p.Replace(name, rollingBack(p.Get(name))))
		}
	}
	return errors.Join(errs...)
}

// rollingBack returns a callback that applies the rule to f. It does not recover, so the panic keeps its stack.
func rollingBack(f func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		returned := false
		defer func() {
			if !returned {
				rollBack(db.Statement)
			}
		}()
		f(db)
		returned = true
	}
}

// rollBack rolls back the transaction that a statement runs in, if it runs in one.
func rollBack(stmt *gorm.Statement) {
	tx, ok := stmt.ConnPool.(gorm.TxCommitter)
	if ok && !reflect.ValueOf(tx).IsNil() { // what GORM's Begin leaves when it fails
		_ = tx.Rollback()
	}
}

// abort panics with err, by the same rule: for functions of Scopes, which run before any callback.
func abort(db *gorm.DB, err error) {
	rollBack(db.Statement)
	panic(err)
}
