package models_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes/pgtest"
)

// An operator who is signed in as an admin does the admin's work, and nothing by which somebody gets in later.
func TestSignedInAsAUser(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	as := models.SignInAs{Operator: "olga", UserID: 1, Reason: "ticket 12"}
	require.NoError(t, p.Sessions(p.as(t, 1)).SaveAs(hash("a browser"), as, time.Now().Add(time.Hour)))
	a, _, err := p.Sessions(p.as(t, 1)).Find(hash("a browser"))
	require.NoError(t, err)
	require.Equal(t, models.Actor{UserID: 1, Role: models.Admin, Name: "Ann Arbor", Email: "ann@example.com", Operator: "olga", Reason: "ticket 12"}, a)
	_, _, err = p.Sessions(p.as(t, 2)).Find(hash("a browser"))
	require.ErrorIs(t, err, models.ErrNotFound, "at another account's address")

	ctx := models.WithActor(p.as(t, 1), a)
	for _, may := range []models.Operation{models.EditWork, models.DeleteWork, models.DeleteProjects} {
		require.True(t, a.May(may), may)
	}
	refused := map[string]error{}
	_, _, refused["invite"] = p.Users(ctx).Invite(models.NewUser{Email: "new@example.com", FirstName: "N", LastName: "W", Role: models.Member})
	_, _, refused["link"] = p.Users(ctx).NewReset(2)
	refused["role"] = p.Users(ctx).SetRole(2, models.Admin)
	refused["active"] = p.Users(ctx).SetActive(2, false)
	_, refused["token"] = p.APITokens(ctx).Create(1, "for later")
	_, refused["token of another"] = p.APITokens(ctx).Create(2, "for later")
	_, refused["tokens"] = p.APITokens(ctx).Of(1)
	_, refused["operators"] = p.Sessions(ctx).OfOperators()
	for what, err := range refused {
		require.ErrorAs(t, err, new(*models.NotAllowedError), what)
	}
	require.ErrorIs(t, p.Users(ctx).ChangePassword(password, "a new password"), models.ErrSignInRequired)

	admin, member := p.user(t, 1, 1), p.user(t, 1, 2)
	seen, err := p.Sessions(admin).OfOperators()
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, []string{"olga", "ticket 12", "ann@example.com"}, []string{seen[0].Operator, seen[0].Reason, seen[0].User.Email})
	_, err = p.Sessions(member).OfOperators()
	require.ErrorAs(t, err, new(*models.NotAllowedError))
	others, err := p.Sessions(p.user(t, 2, 1)).OfOperators()
	require.NoError(t, err)
	require.Empty(t, others)

	p.db.Exec(t, pgtest.Owner, "update sessions set expires_at = now()")
	_, _, err = p.Sessions(p.as(t, 1)).Find(hash("a browser"))
	require.ErrorIs(t, err, models.ErrNotFound, "it ends by itself")
	require.Error(t, p.Sessions(p.as(t, 1)).SaveAs(hash("another"), models.SignInAs{Operator: "olga", UserID: 1}, time.Now().Add(time.Hour)), "without a reason")
}
