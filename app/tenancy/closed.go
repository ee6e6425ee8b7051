package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

// closedWait bounds the look at whether a place is closed.
const closedWait = time.Second

// tellClosed has a change that is refused at a place which a move has closed end with a *scopes.TenantUnavailableError: tried again,
// it goes to the new place.
func (t *Tenancy) tellClosed() error {
	callbacks := t.DB.Callback()
	return errors.Join(
		callbacks.Create().After("*").Register("tenancy:closed", t.explainClosed),
		callbacks.Update().After("*").Register("tenancy:closed", t.explainClosed),
		callbacks.Delete().After("*").Register("tenancy:closed", t.explainClosed))
}

// explainClosed looks, since that a right is lacking may have another cause, which is ours to mend.
func (t *Tenancy) explainClosed(db *gorm.DB) {
	if code(db.Error) != codeNoPermission || db.Statement.Context == nil {
		return
	}
	tenant, err := scopes.FromContext(db.Statement.Context)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(db.Statement.Context, closedWait)
	defer cancel()
	open := true
	err = t.SQL().QueryRowContext(ctx, "select has_table_privilege(current_user, 'accounts', 'insert')").Scan(&open)
	if err == nil && !open {
		t.Directory.Forget() // by now it may name the new place
		db.Error = fmt.Errorf("%w: %w", &scopes.TenantUnavailableError{Slug: tenant.Slug, State: models.StateMoving}, db.Error)
	}
}
