package scopes_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
)

func TestRequireRows(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	for _, touch := range []func(*gorm.DB) *gorm.DB{
		func(db *gorm.DB) *gorm.DB { return db.Model(&Label{}).Update("name", "x") },
		func(db *gorm.DB) *gorm.DB { return db.Delete(&Label{}) },
	} {
		other := func() *gorm.DB { return db.as(t, 1).Where("id = 2") } // tenant 2's
		require.NoError(t, touch(other()).Error)
		require.ErrorIs(t, touch(other().Scopes(scopes.RequireRows)).Error, gorm.ErrRecordNotFound)
		own := db.as(t, 1).Where("id = 1")
		require.NoError(t, touch(own.Scopes(scopes.RequireRows)).Error)
	}
	require.Equal(t, "2b", db.ask(t, "select string_agg(id || name, ' ') from labels"))
}

func TestFilterCurrentTenant(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var boards []Board
	require.NoError(t, db.as(t, 2).Scopes(scopes.FilterCurrentTenant).Find(&boards).Error)
	require.Len(t, boards, 2)
	for _, nobody := range []*gorm.DB{
		db.WithContext(t.Context()),
		db.WithContext(scopes.AllTenants(t.Context(), "a test")),
	} {
		require.PanicsWithError(t, (&scopes.TenantMissingError{}).Error(), func() {
			nobody.Scopes(scopes.FilterCurrentTenant).Find(&boards)
		})
	}
}
