package models_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
	"tenanted/scopes/registry"
	"tenanted/seed"
)

const password = seed.Password

// django is the hash of password as earlier versions of the seed made it, with fewer iterations.
const django = "pbkdf2_sha256$1000$tenanted-seed$oXIT5oLAD6zyL1ulYr5RnLDT0rlJRFRdBxd5z96F/bw="

// fillPeople makes two tenants with the same two emails: ann is an admin, bob a member, and in tenant 2 cyd was deactivated, and
// dan has no password yet.
func fillPeople(ctx context.Context, conn *pgx.Conn) error {
	runner := migrations.Runner{Owner: conn.Config(), Runtime: pgtest.Runtime}
	placement := scopes.Placement{Database: conn.Config().Database, Schema: "public"}
	if err := runner.Up(ctx, migrations.Target{Set: migrations.Tenant, Placement: placement}).Err; err != nil {
		return err
	}
	for account, hash := range map[int]string{1: models.HashPassword(password, []byte("salt of tenant 1")), 2: models.HashPassword("different", []byte("salt of tenant 2"))} {
		_, err := conn.Exec(ctx, `insert into accounts (id) values ($1)`, account)
		if err == nil {
			_, err = conn.Exec(ctx, `
				insert into users (account_id, id, email, first_name, last_name, password_hash, role, deactivated_at) values
				($1, 1, 'ann@example.com', 'Ann', 'Arbor', $2, 'admin', null), ($1, 2, 'bob@example.com', 'Bob', 'Burns', $2, 'member', null),
				($1, 3, 'cyd@example.com', 'Cyd', 'Cole', $2, 'admin', now()), ($1, 4, 'dan@example.com', 'Dan', 'Drew', '', 'member', null)`, account, hash)
		}
		if err == nil {
			_, err = conn.Exec(ctx, `select setval('users_id_seq', 100)`)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// people are the users of two tenants in one place.
type people struct {
	models.Models
	db *pgtest.DB
}

func openPeople(t *testing.T) people {
	t.Helper()
	db := pgtest.Database(t, "people", fillPeople)
	pools, err := registry.Open(registry.Config{Runtime: db.Config(pgtest.Runtime)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pools.Close()) })
	g, err := pools.OpenGORM(&gorm.Config{Logger: logger.Discard}, scopes.NewPlugin(scopes.Config{}))
	require.NoError(t, err)
	return people{models.New(g), db}
}

func (p people) as(t *testing.T, tenant int64) context.Context {
	return scopes.WithTenant(t.Context(), scopes.Tenant{ID: scopes.TenantID(tenant), Placement: scopes.Placement{Database: p.db.Name, Schema: "public"}})
}

// user is the context of a tenant's user: 1 is its admin, 2 a member.
func (p people) user(t *testing.T, tenant, id int64) context.Context {
	u, err := p.Users(p.as(t, tenant)).Get(id)
	require.NoError(t, err)
	return models.WithActor(p.as(t, tenant), u.Actor())
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	u, err := p.Users(p.as(t, 1)).SignIn(" Ann@Example.com ", password, "")
	require.NoError(t, err)
	require.Equal(t, models.Actor{UserID: 1, Role: models.Admin, Name: "Ann Arbor", Email: "ann@example.com"}, u.Actor())
	for email, word := range map[string]string{
		"ann@example.com":     "different", // another account's password of the same email
		"bob@example.com":     "",
		"cyd@example.com":     password, // deactivated
		"dan@example.com":     "",       // has not chosen one
		"nobody@example.com":  password,
		"":                    "",
		"ann\x00@example.com": password,
		"\xff":                password,
	} {
		_, err := p.Users(p.as(t, 1)).SignIn(email, word, "")
		require.Equal(t, models.ErrWrongPassword, err, "%s with %q", email, word)
	}
	_, err = p.Users(p.as(t, 2)).SignIn("ann@example.com", "different", "")
	require.NoError(t, err)
}

// A hash of the original's framework still lets its user in, and is replaced.
func TestOldHashesAreReplaced(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	p.db.Exec(t, pgtest.Owner, `update users set password_hash = $1 where account_id = 1`, django)
	_, err := p.Users(p.as(t, 1)).SignIn("bob@example.com", "wrong", "")
	require.Equal(t, models.ErrWrongPassword, err)
	for range 2 {
		_, err := p.Users(p.as(t, 1)).SignIn("bob@example.com", password, "")
		require.NoError(t, err)
		u, err := p.Users(p.as(t, 1)).Get(2)
		require.NoError(t, err)
		require.Contains(t, u.PasswordHash, "$argon2id$")
	}
}

func TestAttemptsAreCountedForAllProcesses(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	const email, tries = "bob@example.com", 30
	refused := make(chan error, tries)
	var at sync.WaitGroup
	for range tries {
		at.Go(func() {
			_, err := p.Users(p.as(t, 1)).SignIn(email, "wrong", "192.0.2.1")
			refused <- err
		})
	}
	at.Wait()
	close(refused)
	wrong := 0
	for err := range refused {
		if throttled := new(models.ThrottledError); err != models.ErrWrongPassword {
			require.ErrorAs(t, err, &throttled)
			require.InDelta(t, 15*time.Minute, throttled.Wait, float64(time.Minute))
			continue
		}
		wrong++
	}
	require.Equal(t, 10, wrong, "tried although there were too many at once")
	_, err := p.Users(p.as(t, 1)).SignIn(email, password, "192.0.2.2")
	require.ErrorAs(t, err, new(*models.ThrottledError), "the right password, from elsewhere")
	_, err = p.Users(p.as(t, 2)).SignIn(email, "different", "192.0.2.1")
	require.NoError(t, err, "in another account")
	_, err = p.Users(p.as(t, 1)).SignIn("ann@example.com", password, "192.0.2.1")
	require.NoError(t, err, "somebody else")

	p.db.Exec(t, pgtest.Owner, "update sign_in_attempts set until = now() - interval '1 second' where account_id = 1")
	_, err = p.Users(p.as(t, 1)).SignIn(email, password, "192.0.2.1")
	require.NoError(t, err, "a quarter of an hour later")
	var left int
	require.NoError(t, p.db.Connect(t, pgtest.Owner).QueryRow(t.Context(), "select count(*) from sign_in_attempts where account_id = 1 and until < now()").Scan(&left))
	require.Zero(t, left, "old ones are forgotten")
}

func TestAttemptsFromOneAddress(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	_, err := p.Users(p.as(t, 1)).SignIn("nobody@example.com", password, "192.0.2.1")
	require.Equal(t, models.ErrWrongPassword, err)
	p.db.Exec(t, pgtest.Owner, "update sign_in_attempts set attempts = 100")
	_, err = p.Users(p.as(t, 1)).SignIn("ann@example.com", password, "192.0.2.1")
	require.ErrorAs(t, err, new(*models.ThrottledError))
	_, err = p.Users(p.as(t, 1)).SignIn("ann@example.com", password, "192.0.2.2")
	require.NoError(t, err)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	one, two := hash("one"), hash("two")
	require.NoError(t, p.Sessions(p.as(t, 1)).Save(one, 2, time.Now().Add(time.Hour)))
	require.NoError(t, p.Sessions(p.as(t, 2)).Save(two, 2, time.Now().Add(time.Hour)))
	a, _, err := p.Sessions(p.as(t, 1)).Find(one)
	require.NoError(t, err)
	require.Equal(t, "bob@example.com", a.Email)
	_, _, err = p.Sessions(p.as(t, 2)).Find(one)
	require.ErrorIs(t, err, models.ErrNotFound, "another account's session")

	p.db.Exec(t, pgtest.Owner, "update users set role = 'admin' where account_id = 1 and id = 2")
	a, _, err = p.Sessions(p.as(t, 1)).Find(one)
	require.NoError(t, err)
	require.Equal(t, models.Admin, a.Role, "a new role counts at once")
	p.db.Exec(t, pgtest.Owner, "update sessions set expires_at = now() where account_id = 1")
	_, _, err = p.Sessions(p.as(t, 1)).Find(one)
	require.ErrorIs(t, err, models.ErrNotFound, "one that has ended")
	require.NoError(t, p.Sessions(p.as(t, 2)).Delete(two))
	require.NoError(t, p.Sessions(p.as(t, 2)).Save(one, 3, time.Now().Add(time.Hour)))
	_, _, err = p.Sessions(p.as(t, 2)).Find(one)
	require.ErrorIs(t, err, models.ErrNotFound, "of a user who was deactivated")
	_, _, err = p.Sessions(p.as(t, 2)).Find(two)
	require.ErrorIs(t, err, models.ErrNotFound)
	require.Error(t, p.Sessions(p.as(t, 1)).Save(one, 999, time.Now().Add(time.Hour)), "of nobody")
}

func hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func TestLinksAreUsedOnce(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	admin := p.user(t, 1, 1)
	require.NoError(t, p.Sessions(p.as(t, 1)).Save(hash("a browser"), 2, time.Now().Add(time.Hour)))
	_, secret, err := p.Users(admin).NewReset(2)
	require.NoError(t, err)
	_, err = p.Users(p.as(t, 2)).Reset(secret, "a new password")
	require.ErrorIs(t, err, models.ErrNotFound, "at another account's address")
	_, err = p.Users(p.as(t, 1)).Reset(secret, "short")
	require.ErrorAs(t, err, new(*models.InvalidError))

	used := make(chan error, 8)
	var at sync.WaitGroup
	for range cap(used) {
		at.Go(func() {
			_, err := p.Users(p.as(t, 1)).Reset(secret, "a new password")
			used <- err
		})
	}
	at.Wait()
	close(used)
	worked := 0
	for err := range used {
		if err == nil {
			worked++
			continue
		}
		require.ErrorIs(t, err, models.ErrNotFound)
	}
	require.Equal(t, 1, worked)
	_, err = p.Users(p.as(t, 1)).SignIn("bob@example.com", "a new password", "")
	require.NoError(t, err)
	_, _, err = p.Sessions(p.as(t, 1)).Find(hash("a browser"))
	require.ErrorIs(t, err, models.ErrNotFound, "a session from before")

	_, secret, err = p.Users(admin).NewReset(2)
	require.NoError(t, err)
	p.db.Exec(t, pgtest.Owner, "update password_resets set expires_at = now()")
	_, err = p.Users(p.as(t, 1)).Reset(secret, "another password")
	require.ErrorIs(t, err, models.ErrNotFound, "a link that has ended")
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	bob := p.user(t, 1, 2)
	require.Equal(t, models.ErrWrongPassword, p.Users(bob).ChangePassword("wrong", "a new password"))
	require.ErrorAs(t, p.Users(bob).ChangePassword(password, "short"), new(*models.InvalidError))
	require.ErrorIs(t, p.Users(p.as(t, 1)).ChangePassword(password, "a new password"), models.ErrSignInRequired)
	require.NoError(t, p.Users(bob).ChangePassword(password, "a new password"))
	_, err := p.Users(p.as(t, 1)).SignIn("bob@example.com", password, "")
	require.Equal(t, models.ErrWrongPassword, err)
}

func TestInvite(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	u, secret, err := p.Users(p.user(t, 1, 1)).Invite(models.NewUser{Email: "Eve@Example.com", FirstName: "Eve", LastName: "East", Role: models.Member})
	require.NoError(t, err)
	require.Greater(t, u.ID, int64(100))
	_, err = p.Users(p.as(t, 1)).SignIn("eve@example.com", "", "")
	require.Equal(t, models.ErrWrongPassword, err, "before a password was chosen")
	invited, err := p.Users(p.as(t, 1)).ResetFor(secret)
	require.NoError(t, err)
	require.Equal(t, "eve@example.com", invited.Email)
	_, err = p.Users(p.as(t, 1)).Reset(secret, "eve's password")
	require.NoError(t, err)
	_, err = p.Users(p.as(t, 1)).SignIn("eve@example.com", "eve's password", "")
	require.NoError(t, err)
	for field, n := range map[string]models.NewUser{
		"email":      {Email: "ann@example.com", FirstName: "A", LastName: "A", Role: models.Member}, // taken
		"role":       {Email: "x@example.com", FirstName: "A", LastName: "A", Role: "owner"},
		"first_name": {Email: "x@example.com", FirstName: "A\nB", LastName: "A", Role: models.Member},
		"last_name":  {Email: "x@example.com", FirstName: "A", LastName: " ", Role: models.Member},
	} {
		_, _, err := p.Users(p.user(t, 1, 1)).Invite(n)
		wrong := new(models.InvalidError)
		require.ErrorAs(t, err, &wrong)
		require.Contains(t, wrong.Fields, field)
	}
	_, _, err = p.Users(p.user(t, 1, 1)).Invite(models.NewUser{Email: "Ann <ann@example.com>", FirstName: "A", LastName: "A", Role: models.Member})
	require.ErrorAs(t, err, new(*models.InvalidError))
}

func TestAnAccountKeepsAnAdmin(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	ann, bob := p.user(t, 1, 1), p.user(t, 1, 2)
	require.Equal(t, models.ErrLastAdmin, p.Users(ann).SetRole(1, models.Member))
	require.Equal(t, models.ErrLastAdmin, p.Users(ann).SetActive(1, false), "cyd is an admin too, and was deactivated")
	require.NoError(t, p.Users(ann).SetRole(2, models.Admin))
	bob = p.user(t, 1, 2)

	done := make(chan error, 2)
	go func() { done <- p.Users(ann).SetRole(2, models.Member) }()
	go func() { done <- p.Users(bob).SetActive(1, false) }()
	first, second := <-done, <-done
	if first == nil {
		first, second = second, first
	}
	require.Equal(t, models.ErrLastAdmin, first, "two admins remove each other")
	require.NoError(t, second)
}

func TestDeactivatedUsersAreNobody(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	ann, bob := p.user(t, 1, 1), p.user(t, 1, 2)
	require.NoError(t, p.Sessions(bob).Save(hash("a browser"), 2, time.Now().Add(time.Hour)))
	token, err := p.APITokens(bob).Create(2, "backup")
	require.NoError(t, err)
	_, secret, err := p.Users(ann).NewReset(2)
	require.NoError(t, err)
	require.NoError(t, p.Users(ann).SetActive(2, false))
	for range 2 {
		_, _, err = p.Sessions(bob).Find(hash("a browser"))
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = p.APITokens(bob).Find(token)
		require.ErrorIs(t, err, models.ErrNotFound)
		_, err = p.Users(bob).ResetFor(secret)
		require.ErrorIs(t, err, models.ErrNotFound)
		require.NoError(t, p.Users(ann).SetActive(2, true), "which gives nothing of that back")
	}
	_, err = p.Users(p.as(t, 1)).SignIn("bob@example.com", password, "")
	require.NoError(t, err)
}

func TestAPITokens(t *testing.T) {
	t.Parallel()
	p := openPeople(t)
	ann, bob := p.user(t, 1, 1), p.user(t, 1, 2)
	secret, err := p.APITokens(bob).Create(2, "backup")
	require.NoError(t, err)
	program, err := p.APITokens(p.as(t, 1)).Find(secret)
	require.NoError(t, err)
	require.Equal(t, models.Actor{UserID: 2, Role: models.Member, Name: "Bob Burns", Email: "bob@example.com", Program: true}, program)
	_, err = p.APITokens(p.as(t, 2)).Find(secret)
	require.ErrorIs(t, err, models.ErrNotFound, "at another account's address")
	_, err = p.APITokens(models.WithActor(p.as(t, 1), program)).Create(2, "another")
	require.ErrorAs(t, err, new(*models.NotAllowedError), "a token must not outlive itself")
	_, err = p.APITokens(bob).Create(1, "as ann")
	require.ErrorAs(t, err, new(*models.NotAllowedError))
	_, err = p.APITokens(bob).Of(1)
	require.ErrorAs(t, err, new(*models.NotAllowedError))
	tokens, err := p.APITokens(ann).Of(2)
	require.NoError(t, err)
	require.Len(t, tokens, 1)
	require.ErrorIs(t, p.APITokens(p.user(t, 2, 2)).Revoke(2, tokens[0].ID), models.ErrNotFound)
	require.NoError(t, p.APITokens(bob).Revoke(2, tokens[0].ID))
	_, err = p.APITokens(p.as(t, 1)).Find(secret)
	require.ErrorIs(t, err, models.ErrNotFound)
}
