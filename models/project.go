package models

import "tenanted/scopes"

// Project belongs to an account and holds tasks.
type Project struct {
	scopes.Tenanted
	ID   int64 `gorm:"primaryKey"`
	Name string

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
	Tasks   []Task  `gorm:"foreignKey:AccountID,ProjectID;references:AccountID,ID"`
}

// Label is how the project is called in lists: "Project #3".
func (p Project) Label() string { return label("Project", p.ID) }
