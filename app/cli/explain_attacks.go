package cli

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/models"
	"tenanted/scopes"
	"tenanted/seed"
)

// The attacks of the page /isolation/.
const (
	attackRead   = "read"
	attackRaw    = "raw"
	attackWrite  = "write"
	attackForget = "forget"
)

// Attacks implements web.Explainer.
func (e *explainer) Attacks(ctx context.Context) ([]web.Attack, error) {
	tenant, err := scopes.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	other := e.victim(ctx, tenant)
	return []web.Attack{
		{Name: attackRead, Title: "Read Subtask #1 of " + other.Slug},
		{Name: attackRaw, Title: "Raw SQL: select count(*) from subtasks"},
		{Name: attackWrite, Title: "Mark all of " + other.Slug + "’s subtasks done"},
		{Name: attackForget, Title: "Forget the tenant"},
	}, nil
}

// victim returns another tenant. Where nobody may list them it is one that seed makes.
func (e *explainer) victim(ctx context.Context, own scopes.Tenant) scopes.Tenant {
	entries, _ := e.app.Directory.List(ctx, tenancy.ByID, 0)
	for _, entry := range entries {
		if entry.ID != own.ID && entry.State == tenancy.StateActive {
			return entry.Tenant
		}
	}
	number := 0
	if own.Slug == seed.Slug(0) {
		number = 1
	}
	return scopes.Tenant{ID: scopes.TenantID(number + 1), Slug: seed.Slug(number)}
}

// Try implements web.Explainer.
func (e *explainer) Try(ctx context.Context, name string) (web.Attempt, error) {
	tenant, err := scopes.FromContext(ctx)
	if err != nil {
		return web.Attempt{}, err
	}
	other := models.AccountID(e.victim(ctx, tenant))
	var a web.Attempt
	switch name {
	case attackRead:
		a, err = e.tryRead(ctx, other)
	case attackRaw:
		a, err = e.tryRaw(ctx)
	case attackWrite:
		a, err = e.tryWrite(ctx, other)
	default:
		a = e.tryForget(ctx)
	}
	attacks, listErr := e.Attacks(ctx)
	for _, each := range attacks {
		if each.Name == name {
			a.Attack = each
		}
	}
	return a, errors.Join(err, listErr)
}

// tryRead asks for another tenant's row by its whole key, and then by raw SQL, which the scope does not see.
func (e *explainer) tryRead(ctx context.Context, other scopes.TenantID) (a web.Attempt, err error) {
	read := func(tx *gorm.DB) (subtask models.Subtask, query *gorm.DB) {
		return subtask, tx.WithContext(ctx).Where("account_id = ? AND id = 1", other).Take(&subtask)
	}
	a.Statement = e.app.DB.ToSQL(func(tx *gorm.DB) *gorm.DB { _, query := read(tx); return query })
	subtask, query := read(e.app.DB)
	if !errors.Is(query.Error, gorm.ErrRecordNotFound) {
		a.Came = "Subtask " + subtask.Name
		return a, query.Error
	}
	a.Came, a.Stopped = "no rows", "scope"
	var seen bool
	err = e.app.DB.WithContext(ctx).Raw("SELECT EXISTS (SELECT FROM subtasks WHERE account_id = ? AND id = 1)", other).Scan(&seen).Error
	if !seen {
		a.Stopped += "; below it raw SQL finds nothing either: " + e.below(ctx)
	}
	return a, err
}

// below names the layer that is left for raw SQL.
func (e *explainer) below(ctx context.Context) string {
	if e.cfg.Shared(scopes.MustFromContext(ctx).Placement) {
		return "row-level security"
	}
	return "placement, others’ rows are not here"
}

// tryRaw counts by raw SQL, which the scope does not see.
func (e *explainer) tryRaw(ctx context.Context) (a web.Attempt, err error) {
	var all, others int64
	count := e.app.DB.WithContext(ctx).Raw("SELECT count(*), count(*) FILTER (WHERE account_id <> ?) FROM subtasks", models.AccountID(scopes.MustFromContext(ctx)))
	if err := count.Row().Scan(&all, &others); err != nil {
		return a, err
	}
	a = web.Attempt{Statement: "SELECT count(*) FROM subtasks -- no WHERE at all", Came: fmt.Sprintf("%d rows, of which %d are others’", all, others)}
	if others == 0 {
		a.Came, a.Stopped = fmt.Sprintf("%d rows, all of its own", all), e.below(ctx)
	}
	return a, nil
}

// errUndo ends a transaction that is to change nothing.
var errUndo = errors.New("undo")

// tryWrite changes another tenant's rows by raw SQL, in a transaction that is rolled back.
func (e *explainer) tryWrite(ctx context.Context, other scopes.TenantID) (a web.Attempt, err error) {
	var n int64
	err = e.app.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		update := tx.Exec("UPDATE subtasks SET complete = true WHERE account_id = ?", other)
		if n = update.RowsAffected; update.Error != nil {
			return update.Error
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		return a, err
	}
	a = web.Attempt{Statement: fmt.Sprintf("UPDATE subtasks SET complete = true WHERE account_id = %d", other), Came: fmt.Sprintf("%d rows changed", n)}
	if n == 0 {
		a.Stopped = e.below(ctx)
	}
	return a, nil
}

// tryForget asks without the context.
func (e *explainer) tryForget(ctx context.Context) (a web.Attempt) {
	a = web.Attempt{Statement: "db.Find(&subtasks)   // and not db.WithContext(ctx).Find(&subtasks)", Came: "all rows"}
	defer func() {
		if err, ok := recover().(error); ok {
			a.Came, a.Stopped = "panic: "+err.Error(), "scope; nothing was sent"
		}
	}()
	var subtasks []models.Subtask
	//tenantvet:ignore the attack is this mistake
	if err := e.app.DB.Find(&subtasks).Error; err != nil {
		a.Came, a.Stopped = err.Error(), "session"
	}
	return a
}
