package models

import "tenanted/scopes"

// Subtask belongs to a task: the smallest piece of work, done or not.
type Subtask struct {
	scopes.Tenanted
	ID       int64 `gorm:"primaryKey"`
	TaskID   int64
	Name     string
	Complete bool
	Details  string

	Task Task `gorm:"foreignKey:AccountID,TaskID;references:AccountID,ID"`
}

// Label is how the subtask is called in lists: "Subtask #112".
func (s Subtask) Label() string { return label("Subtask", s.ID) }
