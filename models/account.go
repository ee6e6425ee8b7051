package models

import (
	"time"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// Account is a tenant's own row. Its id is the tenant's id. What the tenant is called is not in it but in the directory
// of tenants, and from there in [scopes.Tenant].
type Account struct {
	ID        scopes.TenantID `gorm:"primaryKey;autoIncrement:false"`
	CreatedAt time.Time
}

// AccountID returns the id of a tenant's account: in this application tenants have numbers.
func AccountID(t scopes.Tenant) scopes.TenantID {
	id, _ := t.ID.(scopes.TenantID) // as the directory makes them
	return id
}

// Label is how the account is called in lists: "Account #1".
func (a Account) Label() string { return label("Account", int64(a.ID)) }

// StateMoving is the state, in a *scopes.TenantUnavailableError, of a tenant that is not where it was looked for: it was moved a
// moment ago.
const StateMoving = "moving"

// AccountManager reads accounts. Make one with [Models.Accounts].
type AccountManager struct{ db *gorm.DB }

// AccountCounts is what an account has.
type AccountCounts struct {
	Users, Projects, Tasks int64
	Progress
}

// Counts counts what the tenant in the context has, in one statement.
func (m AccountManager) Counts() (found AccountCounts, err error) {
	number := func(model any) *gorm.DB { return m.db.Model(model).Select("count(*)") }
	err = m.db.Model(&Account{}).Select("(?) AS users, (?) AS projects, (?) AS tasks, (?) AS subtasks, (?) AS done",
		number(&User{}), number(&Project{}), number(&Task{}), number(&Subtask{}),
		number(&Subtask{}).Where("complete")).Take(&found).Error
	return found, err
}
