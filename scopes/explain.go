package scopes

import (
	"database/sql"
	"fmt"

	"gorm.io/gorm"
)

// explain is the callback that replaces an error by what the plugin knows of its cause. It comes after the statement.
func explain(db *gorm.DB) {
	if row, ok := db.Statement.Dest.(*sql.Row); ok {
		if err := explained(db, row.Err()); err != row.Err() {
			db.Statement.Dest = failedRow(err)
		}
		return
	}
	if db.Error != nil || db.DryRun {
		db.Error = explained(db, db.Error)
	}
}

// maxVars is how many values PostgreSQL takes with one statement: the protocol counts them in 16 bits.
const maxVars = 1<<16 - 1

func explained(db *gorm.DB, err error) error {
	for _, v := range db.Statement.Vars {
		if failed, ok := v.(failedValue); ok {
			return failed.err
		}
	}
	if n := len(db.Statement.Vars); n > maxVars && err != nil {
		return fmt.Errorf("%d values in one statement, and PostgreSQL takes %d: use CreateInBatches, or set gorm.Config.CreateBatchSize: %w", n, maxVars, err)
	}
	return explainDerived(db.Statement, err)
}
