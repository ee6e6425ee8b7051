package scopes_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/scopes"
)

// The benchmarks compare a scoped statement with the same SQL written by hand in plain GORM. Nothing is
// executed: GORM builds the statement and its variables, so what differs is the guard and the clauses.

type plainItem struct {
	//tenantvet:ignore what the scope is compared with
	AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
	ID        int64 `gorm:"primaryKey"`
	Name      string
}

func (plainItem) TableName() string { return "items" }

type tenantedItem struct {
	scopes.Tenanted
	ID   int64 `gorm:"primaryKey"`
	Name string
}

func (tenantedItem) TableName() string { return "items" }

// dry returns a *gorm.DB that only builds statements.
func dry(tb testing.TB, plugins ...gorm.Plugin) *gorm.DB {
	config := &gorm.Config{DryRun: true, SkipDefaultTransaction: true, DisableAutomaticPing: true, Logger: logger.Discard}
	db, err := gorm.Open(postgres.New(postgres.Config{DSN: "host=/nowhere"}), config)
	require.NoError(tb, err)
	for _, p := range plugins {
		require.NoError(tb, db.Use(p))
	}
	return db
}

func BenchmarkScope(b *testing.B) {
	ctx := scopes.WithTenant(context.Background(), scopes.Tenant{ID: 7})
	plain := dry(b).WithContext(ctx)
	tenanted := dry(b, scopes.NewPlugin(scopes.Config{})).WithContext(ctx)
	where := func() *gorm.DB { return plain.Where("items.account_id = ?", 7) }

	for _, bench := range []struct {
		name            string
		floor, tenanted func() *gorm.DB
	}{
		{"Find",
			func() *gorm.DB { return where().Where("name = ?", "x").Find(&[]plainItem{}) },
			func() *gorm.DB { return tenanted.Where("name = ?", "x").Find(&[]tenantedItem{}) }},
		{"Count",
			func() *gorm.DB { return where().Model(&plainItem{}).Count(new(int64)) },
			func() *gorm.DB { return tenanted.Model(&tenantedItem{}).Count(new(int64)) }},
		{"Create",
			func() *gorm.DB { return plain.Create(&plainItem{AccountID: 7, Name: "x"}) },
			func() *gorm.DB { return tenanted.Create(&tenantedItem{Name: "x"}) }},
		{"Update",
			func() *gorm.DB { return where().Model(&plainItem{}).Where("id = ?", 1).Update("name", "y") },
			func() *gorm.DB { return tenanted.Model(&tenantedItem{}).Where("id = ?", 1).Update("name", "y") }},
		{"Delete",
			func() *gorm.DB { return where().Where("id = ?", 1).Delete(&plainItem{}) },
			func() *gorm.DB { return tenanted.Where("id = ?", 1).Delete(&tenantedItem{}) }},
	} {
		for _, way := range []struct {
			name string
			run  func() *gorm.DB
		}{{"gorm", bench.floor}, {"tenanted", bench.tenanted}} {
			b.Run(bench.name+"/"+way.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := way.run().Error; err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
