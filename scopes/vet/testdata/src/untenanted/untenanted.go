// Package untenanted has nothing to do with scopes: its accounts are none of ours.
package untenanted

import "gorm.io/gorm"

type booking struct {
	gorm.Model
	AccountID int64
}
