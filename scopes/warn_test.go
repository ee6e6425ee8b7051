package scopes_test

import (
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
)

// In a program that takes tenants up, the database knows the tenant of a row that is created without one.
func TestWarnLeavesTheTenantToTheDatabase(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{Missing: scopes.Warn, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	require.NoError(t, db.Exec("alter table tags alter column account_id set default 7").Error)
	nobody := db.WithContext(t.Context()) //tenantvet:ignore that is what this is about
	alone, list := Tag{Name: "alone"}, []Tag{{Name: "first"}, {Name: "second"}}
	require.NoError(t, nobody.Create(&alone).Error)
	require.NoError(t, nobody.Create(&list).Error)
	require.NoError(t, nobody.Create(&Tag{Tenanted: scopes.Tenanted{AccountID: 8}, Name: "set"}).Error)
	for _, tag := range append(list, alone) {
		require.Equal(t, scopes.TenantID(7), tag.AccountID, "as the database has it")
		require.GreaterOrEqual(t, tag.ID, int64(1000))
	}
	require.Equal(t, "alone7 first7 second7 set8", db.ask(t, "select string_agg(name || account_id, ' ' order by name) from tags where id >= 1000"))

	var missing *scopes.TenantMissingError
	require.ErrorAs(t, nobody.Create(&[]Tag{{Name: "x"}, {Tenanted: scopes.Tenanted{AccountID: 8}, Name: "x"}}).Error, &missing)

	// GORM saves what a relation brings with ON CONFLICT, and needs the ids for the join table.
	card := Card{Model: gorm.Model{ID: 111}, OrgID: one(1)}
	require.NoError(t, nobody.Model(&card).Association("Tags").Append(&Tag{Name: "joined"}))
	require.Equal(t, "7 joined", db.ask(t, "select t.account_id || ' ' || t.name from tags t join card_tags j on j.tag_id = t.id and j.tag_account_id = t.account_id"))
}
