package models

import (
	"time"

	"tenanted/scopes"
)

// User is a person who works in one account. The email is unique within the account only: a wider
// unique key would tell one tenant whom another one has.
type User struct {
	scopes.Tenanted
	ID           int64 `gorm:"primaryKey"`
	Email        string
	FirstName    string
	LastName     string
	PasswordHash string `json:"-"`
	DateJoined   time.Time

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
}
