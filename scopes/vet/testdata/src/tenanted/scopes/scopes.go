// Package scopes has the declarations of the real one that the cases use.
package scopes

import (
	"context"

	"gorm.io/gorm"
)

type TenantID int64

type Plugin struct{}

type Tenant struct {
	ID   any
	Slug string
}

type Tenanted struct {
	AccountID TenantID `gorm:"primaryKey;autoIncrement:false;not null"`
}

type HasTenant struct{}

type Untenanted struct{}

type key struct{}

func FilterTenant(id any) func(*gorm.DB) *gorm.DB {
	return func(db *gorm.DB) *gorm.DB { return db }
}

func FilterCurrentTenant(db *gorm.DB) *gorm.DB { return db }

func WithTenant(ctx context.Context, t Tenant) context.Context {
	return context.WithValue(ctx, key{}, t)
}

func AllTenants(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, key{}, reason)
}

// The package's own use of its functions counts as anybody's.
var System = WithTenant(context.Background(), Tenant{ID: 1})
