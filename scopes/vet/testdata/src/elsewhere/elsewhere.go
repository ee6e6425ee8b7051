// Package elsewhere is another package of the program, into which the check does not look.
package elsewhere

import (
	"context"

	"gorm.io/gorm"
)

var DB *gorm.DB

type Store struct{ DB *gorm.DB }

func Conn() *gorm.DB                                { return DB }
func Tenant(ctx context.Context) *gorm.DB           { return DB.WithContext(ctx) }
func Open(ctx context.Context, dsn string) *gorm.DB { return DB }
func Fixture(t interface{}) *gorm.DB                { return DB }
func Resolve(ctx context.Context) context.Context   { return ctx }
