package tenancy

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/models"
	"tenanted/scopes"
)

// Suspend is [Creator.Suspend], for the context's operator.
func (o *Operators) Suspend(ctx context.Context, tenant string) error {
	return o.work(ctx, func(c *Creator) error {
		_, err := c.Suspend(ctx, tenant)
		return err
	})
}

// Resume is [Creator.Resume], for the context's operator.
func (o *Operators) Resume(ctx context.Context, tenant string) error {
	return o.work(ctx, func(c *Creator) error {
		_, err := c.Resume(ctx, tenant)
		return err
	})
}

// Create is [Creator.CreateByName], for the context's operator. What is wrong with what was chosen is a *models.InvalidError
// with the fields "slug", "name", "place" and "server".
func (o *Operators) Create(ctx context.Context, slug, name string, where config.Choice) (t scopes.Tenant, err error) {
	if err := mayBeCalled(slug); err != nil {
		return t, invalid("slug", err)
	}
	if err := CheckName(name); err != nil {
		return t, invalid("name", err)
	}
	if _, err := o.cfg.PlacementFor(slug, where); err != nil {
		return t, invalidPlace(err)
	}
	err = o.work(ctx, func(c *Creator) error {
		t, err = c.CreateByName(ctx, slug, cmp.Or(name, slug), where)
		return err
	})
	if exists, ok := errors.AsType[*ExistsError](err); ok {
		return t, invalid("slug", exists)
	}
	return t, err
}

// work does what a command does.
func (o *Operators) work(ctx context.Context, work func(*Creator) error) error {
	creator, err := o.setup.NewCreator(ctx)
	if err != nil {
		return err
	}
	defer creator.Close(context.WithoutCancel(ctx))
	err = work(creator)
	if state, ok := errors.AsType[*StateError](err); ok {
		return invalid("tenant", state)
	}
	return err
}

func invalid(field string, why error) error {
	return &models.InvalidError{Fields: map[string]string{field: why.Error()}}
}

// Log returns the newest lines of the audit log about a tenant: see [Creator.Log].
func (o *Operators) Log(ctx context.Context, tenant string, limit int) ([]LogEntry, error) {
	return readLog(ctx, o.db, tenant, limit)
}

// invalidPlace names the field that an error is about.
func invalidPlace(err error) error {
	wrong, ok := errors.AsType[*config.Error](err)
	if !ok {
		return invalid("slug", err)
	}
	field := "place"
	if wrong.Variable == "--server" {
		field = "server"
	}
	return invalid(field, fmt.Errorf("%q %s", wrong.Value, wrong.Reason))
}

// signInLinkLasts is how long a link lets an operator be signed in as a user.
const signInLinkLasts = 5 * time.Minute

// NewSignInLink returns the secret of a link by which the context's operator is signed in, once and soon, as a tenant's user. The
// user is called by email in the audit log.
func (o *Operators) NewSignInLink(ctx context.Context, t scopes.Tenant, user int64, email, reason string) (secret string, err error) {
	secret = rand.Text()
	hash := sha256.Sum256([]byte(secret))
	err = pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "delete from control.sign_in_links where expires_at <= now()"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `insert into control.sign_in_links (token_hash, operator, tenant_id, user_id, reason, expires_at)
			values ($1, $2, $3, $4, $5, now() + $6::interval)`, hash[:], o.by(ctx), t.ID, user, reason, signInLinkLasts)
		if err == nil {
			_, err = tx.Exec(ctx, logDone, o.by(ctx), "sign in as: link", t.ID, t.Slug, email+": "+reason)
		}
		return err
	})
	return secret, explained(err)
}

// SignInLink returns what a link's secret is for, at a tenant. It returns models.ErrNotFound if it was used, has ended, or is for another
// tenant.
func (o *Operators) SignInLink(ctx context.Context, t scopes.Tenant, secret string) (as models.SignInAs, err error) {
	hash := sha256.Sum256([]byte(secret))
	err = o.db.QueryRow(ctx, `select operator, user_id, reason from control.sign_in_links
		where token_hash = $1 and tenant_id = $2 and expires_at > now()`, hash[:], t.ID).Scan(&as.Operator, &as.UserID, &as.Reason)
	return as, explained(err)
}

// TakeSignInLink uses a link up, and writes into the audit log that its operator is signed in as somebody, whom detail names. Of
// several who use it at once one does. The errors are those of [Operators.SignInLink].
func (o *Operators) TakeSignInLink(ctx context.Context, t scopes.Tenant, secret, detail string) error {
	hash := sha256.Sum256([]byte(secret))
	return explained(pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error {
		var operator string
		err := tx.QueryRow(ctx, `delete from control.sign_in_links where token_hash = $1 and tenant_id = $2 and expires_at > now()
			returning operator`, hash[:], t.ID).Scan(&operator)
		if err == nil {
			_, err = tx.Exec(ctx, logDone, operator, "sign in as", t.ID, t.Slug, detail)
		}
		return err
	}))
}

// EndSignInAs writes into the audit log that the context's operator is no longer signed in as somebody, whom detail names.
func (o *Operators) EndSignInAs(ctx context.Context, t scopes.Tenant, detail string) error {
	_, err := o.db.Exec(ctx, logDone, o.by(ctx), "sign in as: end", t.ID, t.Slug, detail)
	return explained(err)
}
