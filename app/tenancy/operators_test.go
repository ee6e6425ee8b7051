package tenancy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/models"
	"tenanted/scopes/pgtest"
)

const password = "correct horse battery"

// withOperators sets cfg up with two tenants and the operator ann.
func withOperators(t *testing.T, cfg config.Config) (*tenancy.Operators, *tenancy.Directory) {
	t.Helper()
	withTenants(t, cfg, 2)
	directory := openDirectory(t, cfg)
	operators, err := directory.Operators(newSetup(t, cfg, nil))
	require.NoError(t, err)
	require.NoError(t, operators.Add(t.Context(), "ann", password))
	return operators, directory
}

// audit returns the audit log, the oldest line first, as "operator: action slug detail outcome".
func audit(t *testing.T, cfg config.Config) (lines []string) {
	t.Helper()
	creator, err := newSetup(t, cfg, nil).NewCreator(t.Context())
	require.NoError(t, err)
	defer creator.Close(context.Background())
	entries, err := creator.Log(t.Context(), "", 100)
	require.NoError(t, err)
	for _, e := range entries {
		line := strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s %s %s", e.Operator, e.Action, e.Slug, e.Detail, e.Outcome(), e.Error)), " ")
		lines = append([]string{line}, lines...)
	}
	return lines
}

func TestAnOperatorSignsIn(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	o, _ := withOperators(t, cfg)
	name, err := o.SignIn(t.Context(), " Ann ", password, "192.0.2.1")
	require.NoError(t, err)
	require.Equal(t, "ann", name)
	for _, wrong := range [][2]string{{"ann", "correct horse"}, {"ann", ""}, {"bob", password}, {"", ""}, {"ann\x00", password}, {"ann' or true --", password}} {
		_, err := o.SignIn(t.Context(), wrong[0], wrong[1], "")
		require.ErrorIs(t, err, models.ErrWrongPassword, wrong)
	}
	require.Equal(t, "ann: sign in 192.0.2.1 done", audit(t, cfg)[len(audit(t, cfg))-1])

	hash := []byte("hash of a token")
	require.NoError(t, o.SaveSession(t.Context(), hash, name, time.Now().Add(time.Hour)))
	found, expires, err := o.FindSession(t.Context(), hash)
	require.NoError(t, err)
	require.Equal(t, "ann", found)
	require.WithinDuration(t, time.Now().Add(time.Hour), expires, time.Minute)
	isEnded := func(hash []byte) {
		t.Helper()
		_, _, err := o.FindSession(t.Context(), hash)
		require.ErrorIs(t, err, models.ErrNotFound)
	}
	isEnded([]byte("another"))
	db.Exec(t, pgtest.Owner, "update control.operator_sessions set expires_at = now()")
	isEnded(hash)
	for i, end := range []func() error{
		func() error { return o.DeleteSession(t.Context(), hash) },
		func() error { return o.SetPassword(t.Context(), "ann", password) },
		func() error { return o.Remove(t.Context(), "ann") },
	} {
		hash = []byte{byte(i)}
		require.NoError(t, o.SaveSession(t.Context(), hash, "ann", time.Now().Add(time.Hour)))
		_, _, err := o.FindSession(t.Context(), hash)
		require.NoError(t, err)
		require.NoError(t, end())
		isEnded(hash)
	}
	require.Error(t, o.SaveSession(t.Context(), hash, "ann", time.Now().Add(time.Hour)), "of nobody there is none")
	exists, err := o.Exists(t.Context(), "ann")
	require.NoError(t, err)
	require.False(t, exists)
}

// Many processes share the count, and many at once get no more attempts.
func TestOperatorsSignInsAreThrottled(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.SingleSchema)
	o, _ := withOperators(t, cfg)
	var wrong, throttled atomic.Int64
	var group sync.WaitGroup
	for range 25 {
		group.Go(func() {
			_, err := o.SignIn(t.Context(), "ann", "a wrong password", "")
			switch {
			case err == models.ErrWrongPassword:
				wrong.Add(1)
			case strings.Contains(fmt.Sprint(err), "too many attempts"):
				throttled.Add(1)
			}
		})
	}
	group.Wait()
	require.Equal(t, []int64{10, 15}, []int64{wrong.Load(), throttled.Load()})
	isThrottled := func(name, address string) {
		t.Helper()
		_, err := o.SignIn(t.Context(), name, password, address)
		require.ErrorAs(t, err, new(*models.ThrottledError))
	}
	isThrottled("ann", "192.0.2.1")
	db.Exec(t, pgtest.Owner, "update control.operator_attempts set until = now() - interval '1 second'")
	_, err := o.SignIn(t.Context(), "ann", password, "192.0.2.1")
	require.NoError(t, err)

	for i := range 30 { // by many names from one address
		_, err := o.SignIn(t.Context(), fmt.Sprintf("guess-%d", i), password, "192.0.2.7")
		require.ErrorIs(t, err, models.ErrWrongPassword)
	}
	isThrottled("ann", "192.0.2.7")
	_, err = o.SignIn(t.Context(), "ann", password, "192.0.2.8")
	require.NoError(t, err)
}

// What an operator does on the web is what the commands do, in each configuration, under the operator's name.
func TestOperatorsLookAfterTenants(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, _ *pgtest.DB, cfg config.Config) {
		o, directory := withOperators(t, cfg)
		ctx := models.WithOperator(t.Context(), "ann")
		made, err := o.Create(ctx, "acme", "Acme Ltd", config.Choice{})
		require.NoError(t, err)
		found, err := directory.Find(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, tenancy.Entry{Tenant: made, State: "active", Version: migrations.Tenant.Newest()}, found)
		require.NoError(t, o.Suspend(ctx, "acme"))
		found, err = directory.Find(t.Context(), "acme")
		require.NoError(t, err)
		require.Equal(t, "suspended", found.State)
		require.NoError(t, o.Resume(ctx, "acme"))
		require.NoError(t, directory.LogAllTenants(ctx, "the list"))

		place := made.Placement.String()
		log := audit(t, cfg)
		require.Equal(t, []string{"ann: create acme " + place + " done", "ann: suspend acme done", "ann: resume acme done", "ann: read all tenants the list done"}, log[len(log)-4:])
		require.Equal(t, "unknown: operators add ann done", log[len(log)-5])
	})
}

func TestOperatorsAreToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.Mixed)
	o, _ := withOperators(t, cfg)
	for _, c := range []struct {
		slug, name   string
		where        config.Choice
		field, wrong string
	}{
		{"Acme", "A", config.Choice{}, "slug", "not a slug"},
		{"www", "A", config.Choice{}, "slug", "reserved"},
		{"tenant-0", "A", config.Choice{}, "slug", "exists"},
		{"acme", "a\nb", config.Choice{}, "name", "cannot be shown"},
		{"acme", "A", config.Choice{Schema: "control"}, "place", "is taken"},
		{"acme", "A", config.Choice{Database: "postgres"}, "place", "the server's own"},
		{"acme", "A", config.Choice{Server: "eu"}, "server", "not configured"},
	} {
		_, err := o.Create(t.Context(), c.slug, c.name, c.where)
		wrong := new(models.InvalidError)
		require.ErrorAs(t, err, &wrong, c)
		require.Len(t, wrong.Fields, 1)
		require.Contains(t, wrong.Fields[c.field], c.wrong)
	}
	db.Exec(t, pgtest.Owner, "update control.tenants set state = 'dropping' where slug = 'tenant-0'")
	for _, change := range []func(context.Context, string) error{o.Suspend, o.Resume} {
		wrong := new(models.InvalidError)
		require.ErrorAs(t, change(t.Context(), "tenant-0"), &wrong)
		require.Contains(t, wrong.Fields["tenant"], `is in state "dropping"`)
	}
	require.ErrorContains(t, o.Suspend(t.Context(), "nobody"), `no tenant is called "nobody"`)
}

// A link is for one tenant, once, soon, and does not outlive the tenant.
func TestSignInLinks(t *testing.T) {
	t.Parallel()
	db, cfg := bare(t, config.MultipleSchemas)
	o, directory := withOperators(t, cfg)
	ctx := models.WithOperator(t.Context(), "ann")
	tenants, err := directory.List(t.Context(), tenancy.ByID, 0)
	require.NoError(t, err)
	one, other := tenants[0].Tenant, tenants[1].Tenant
	secret, err := o.NewSignInLink(ctx, one, 7, "bob@example.com", "ticket 12")
	require.NoError(t, err)
	as, err := o.SignInLink(t.Context(), one, secret)
	require.NoError(t, err)
	require.Equal(t, models.SignInAs{Operator: "ann", UserID: 7, Reason: "ticket 12"}, as)
	_, err = o.SignInLink(t.Context(), other, secret)
	require.ErrorIs(t, err, models.ErrNotFound)
	require.ErrorIs(t, o.TakeSignInLink(t.Context(), other, secret, "x"), models.ErrNotFound)

	var taken atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			switch err := o.TakeSignInLink(t.Context(), one, secret, "as bob@example.com: ticket 12"); err {
			case nil:
				taken.Add(1)
			default:
				if err != models.ErrNotFound {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 1, taken.Load())
	require.NoError(t, o.EndSignInAs(ctx, one, "as bob@example.com"))
	log := audit(t, cfg)
	require.Equal(t, []string{"ann: sign in as: link tenant-0 bob@example.com: ticket 12 done", "ann: sign in as tenant-0 as bob@example.com: ticket 12 done",
		"ann: sign in as: end tenant-0 as bob@example.com done"}, log[len(log)-3:])

	secret, err = o.NewSignInLink(ctx, one, 7, "bob@example.com", "ticket 13")
	require.NoError(t, err)
	db.Exec(t, pgtest.Owner, "update control.sign_in_links set expires_at = now()")
	require.ErrorIs(t, o.TakeSignInLink(t.Context(), one, secret, "x"), models.ErrNotFound)
	require.Equal(t, log, audit(t, cfg)[:len(log)])
	db.Exec(t, pgtest.Owner, "delete from control.tenants where id = 1")
	_, err = o.NewSignInLink(ctx, one, 7, "bob@example.com", "ticket 14")
	require.Error(t, err)
}
