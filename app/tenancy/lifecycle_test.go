package tenancy_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// Who was signed in at a tenant that was suspended is not any more when it is resumed. Other tenants' users are.
func TestSuspendingEndsSessions(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		withTenants(t, cfg, 2)
		app, err := tenancy.Open(t.Context(), cfg, slog.Default())
		require.NoError(t, err)
		defer func() { require.NoError(t, app.Close()) }()
		session := []byte("the hash of a cookie")
		var sessions []models.SessionManager
		for number := range 2 {
			tenant, err := app.Directory.Lookup(t.Context(), numbered(number).Slug)
			require.NoError(t, err)
			ctx := scopes.WithTenant(t.Context(), tenant)
			user := models.User{Email: "ann@example.com", Role: models.Member, DateJoined: time.Now()}
			require.NoError(t, app.DB.WithContext(ctx).Create(&user).Error)
			of := models.New(app.DB).Sessions(ctx)
			require.NoError(t, of.Save(session, user.ID, time.Now().Add(time.Hour)))
			sessions = append(sessions, of)
		}
		creator := newCreator(t, cfg)
		_, err = creator.Resume(t.Context(), numbered(0).Slug)
		require.NoError(t, err)
		_, _, err = sessions[0].Find(session)
		require.NoError(t, err, "an active tenant is left alone")
		_, err = creator.Suspend(t.Context(), numbered(0).Slug)
		require.NoError(t, err)
		_, err = creator.Resume(t.Context(), numbered(0).Slug)
		require.NoError(t, err)
		_, _, err = sessions[0].Find(session)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, _, err = sessions[1].Find(session)
		require.NoError(t, err)
	})
}
