// Package models holds the task tracker's nouns, one file each: Account, User, Project, Task, Subtask,
// and the count that the database keeps of the last.
//
// Everything but Account embeds [scopes.Tenanted], so a query on it without a tenant in the context
// panics; Account is its own tenant, by its id. Keys are composite and begin with the tenant, as the
// tables' are (migrations/tenant), so an association can never lead to another tenant's row.
package models

import (
	"strconv"
	"time"

	"tenanted/scopes"
)

// Account is a tenant's own row. Its id is the tenant's id.
type Account struct {
	ID        scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
	Slug      string
	Name      string
	CreatedAt time.Time
}

// Label is how the account is called in lists: "Account #1".
func (a Account) Label() string { return label("Account", int64(a.ID)) }

// All returns an empty value of every model, parents before children.
func All() []any {
	return []any{&Account{}, &User{}, &Project{}, &Task{}, &Subtask{}, &SubtaskCount{}}
}

func label(noun string, id int64) string { return noun + " #" + strconv.FormatInt(id, 10) }
