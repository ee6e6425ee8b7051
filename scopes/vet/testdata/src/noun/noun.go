// Package noun has the models of the cases.
package noun

import "tenanted/scopes"

type Account struct {
	ID   scopes.TenantID `gorm:"primaryKey"`
	Name string
}

type Task struct {
	scopes.Tenanted
	ID   int64 `gorm:"primaryKey"`
	Name string
}

// Country is no tenant's, and has no relation to one.
type Country struct {
	ID   int64
	Name string
}

// Tag is no tenant's, but leads to some tenant's tasks.
type Tag struct {
	ID    int64
	Tasks []Task
}

// Summary is the result of a query.
type Summary struct {
	Name  string
	Count int
}
