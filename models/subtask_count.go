package models

import "tenanted/scopes"

// SubtaskCount is a change of the number of the account's subtasks: the sum of all changes is the number. The database
// keeps it (migrations/tenant/00003_subtask_counts.sql); nothing else writes it.
type SubtaskCount struct {
	scopes.Tenanted
	ID     int64 `gorm:"primaryKey"`
	Change int64
}
