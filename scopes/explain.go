package scopes

import (
	"database/sql"

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

func explained(db *gorm.DB, err error) error {
	for _, v := range db.Statement.Vars {
		if failed, ok := v.(failedValue); ok {
			return failed.err
		}
	}
	return err
}
