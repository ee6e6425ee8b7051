package models

import "tenanted/scopes"

// Task belongs to a project and holds subtasks.
type Task struct {
	scopes.Tenanted
	ID        int64 `gorm:"primaryKey"`
	ProjectID int64
	Name      string

	Project  Project   `gorm:"foreignKey:AccountID,ProjectID;references:AccountID,ID"`
	Subtasks []Subtask `gorm:"foreignKey:AccountID,TaskID;references:AccountID,ID"`
}

// Label is how the task is called in lists: "Task #38".
func (t Task) Label() string { return label("Task", t.ID) }
