package scopes

import (
	"errors"

	"gorm.io/gorm"
)

// rollBackPanics makes a panic between the BEGIN and the COMMIT that GORM puts around a write roll that transaction
// back. GORM does not: a statement refused within another one (a subquery, a child, what a hook does) would leave
// the transaction, and its connection, open for ever. A transaction that the caller began is the caller's to end.
func rollBackPanics(db *gorm.DB) error {
	c := db.Callback()
	return errors.Join(
		replaceEach(c.Create(), "gorm:before_create", "gorm:save_before_associations", "gorm:create",
			"gorm:save_after_associations", "gorm:after_create"),
		replaceEach(c.Update(), "gorm:setup_reflect_value", "gorm:before_update", "gorm:save_before_associations",
			"gorm:update", "gorm:save_after_associations", "gorm:after_update"),
		replaceEach(c.Delete(), "gorm:before_delete", "gorm:delete_before_associations", "gorm:delete", "gorm:after_delete"),
	)
}

// processor is what GORM calls the callbacks of one kind of statement; its own type has no name to use.
type processor interface {
	Get(name string) func(*gorm.DB)
	Replace(name string, f func(*gorm.DB)) error
}

func replaceEach(p processor, names ...string) error {
	var errs []error
	for _, name := range names {
		if f := p.Get(name); f != nil {
			errs = append(errs, p.Replace(name, rollingBack(f)))
		}
	}
	return errors.Join(errs...)
}

// rollingBack does not recover, so the panic keeps its stack.
func rollingBack(f func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		returned := false
		defer func() {
			if returned {
				return
			}
			if _, began := db.InstanceGet("gorm:started_transaction"); began {
				db.Rollback()
			}
		}()
		f(db)
		returned = true
	}
}
