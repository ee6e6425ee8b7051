// Package models has models with a tenant column.
package models

import (
	"gorm.io/gorm"
	"noun"
	"tenanted/scopes"
)

type invoice struct {
	ID        int64 `gorm:"primaryKey"`
	AccountID int64 // want `invoice has the tenant column account_id, but scopes cannot tell: embed scopes.Tenanted, or scopes.HasTenant and tag AccountID gorm:"tenant", or embed scopes.Untenanted`
}

type order struct {
	gorm.Model
	TenantID string // want `order has the tenant column tenant_id`
}

type renamed struct {
	ID    int64 `gorm:"primaryKey"`
	Owner uint  `gorm:"column:account_id"` // want `renamed has the tenant column account_id.* tag Owner gorm:"tenant"`
}

type uuid [16]byte

type named struct{ AccountID *uuid } // want `named has the tenant column account_id`

func (named) TableName() string { return "named" }

func local() {
	type inner struct {
		gorm.Model
		AccountID int // want `inner has the tenant column`
	}
	_ = inner{}
}

// note is taken for a model because it stands among models.
type note struct {
	ID        int64
	AccountID int64 // want `note has the tenant column`
}

// What follows is tenanted, or no model, or has no tenant column.

type mixed struct {
	scopes.Tenanted
	ID int64 `gorm:"primaryKey"`
}

type own struct {
	ID    int64           `gorm:"primaryKey"`
	OrgID scopes.TenantID `gorm:"column:org_id"`
}

type marked struct {
	scopes.HasTenant
	TenantID uuid `gorm:"primaryKey;tenant"`
}

type untenanted struct {
	scopes.Untenanted
	ID       int64 `gorm:"primaryKey"`
	TenantID uuid
}

type prefixed struct {
	Base      struct{ AccountID scopes.TenantID } `gorm:"embedded"`
	ID        int64                               `gorm:"primaryKey"`
	AccountID int64                               `gorm:"column:account_id"`
}

type embedding struct {
	noun.Task
	AccountID int64
}

type form struct {
	AccountID int64 `json:"account_id"`
	Name      string
}

type result struct {
	AccountID int64 `gorm:"column:account_id"`
	Count     int
}

type ignored struct {
	gorm.Model
	AccountID int64 `gorm:"-"`
}

type other struct {
	gorm.Model
	PayeeAccountID int64
	Account        string
	ParentID       int64 `gorm:"column:parent"`
}

type related struct {
	gorm.Model
	AccountID noun.Account
}
