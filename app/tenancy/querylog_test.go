package tenancy_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
)

// The log says which statement failed, and not for whose data; a client who left is no failure.
func TestStatementsAreLoggedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	_, cfg := bare(t, config.SingleSchema)
	withTenants(t, cfg, 1)
	var log bytes.Buffer
	app, err := tenancy.Open(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	defer app.Close()
	tenant, err := app.Directory.Lookup(t.Context(), "tenant-0")
	require.NoError(t, err)
	for name, run := range map[string]func(*gorm.DB) error{
		"Find": func(db *gorm.DB) error { return db.Find(&[]models.Subtask{}).Error },
		"Scan": func(db *gorm.DB) error { return db.Model(&models.Subtask{}).Select("name").Scan(new(string)).Error },
		"Raw":  func(db *gorm.DB) error { return db.Raw("select 1/0, ?", "secret").Scan(new(string)).Error },
	} {
		ctx, leave := context.WithCancel(scopes.WithTenant(t.Context(), tenant))
		fail := func() error { return run(app.DB.WithContext(ctx).Where("name = ? and 1/0 = id", "secret")) }
		log.Reset()
		require.ErrorContains(t, fail(), "division by zero", name)
		require.Contains(t, log.String(), "division by zero", name)
		require.NotContains(t, log.String(), "secret", name)

		leave()
		log.Reset()
		require.Error(t, fail(), name)
		require.Empty(t, log.String(), name)
	}
}
