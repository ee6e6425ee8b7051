package talk

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

// createBelow makes a subtask of A's below a task whose key came with the form.
func createBelow(tx *gorm.DB, a scopes.Tenant, task int64) error {
	subtask := models.Subtask{Tenanted: scopes.Tenanted{AccountID: models.AccountID(a)}, TaskID: task, Name: "mine"}
	return tx.Create(&subtask).Error
}

var foreignParent = attack{
	name: "foreign-parent", title: "Put a subtask below Bolt’s task", code: []any{createBelow},
	claim: "Only composite keys stop a child that points at another tenant’s parent: foreign keys are checked as the table’s owner, past row-level security.",
	stops: func(on Layers) Layer {
		if on.RLS && !on.Session { // no tenant at all
			return RLS
		}
		return on.first(Keys)
	},
	make: func(ctx context.Context, w world) (outcome, error) {
		err := inVain(ctx, w.db, func(tx *gorm.DB) error { return createBelow(tx, w.a, taskID(2)) })
		return outcome{came: fmt.Sprintf("a subtask of account 1 below task %d of account 2", taskID(2)), leaked: err == nil}, err
	},
}

// createFor makes a project for the account that the form names.
func createFor(tx *gorm.DB, account scopes.TenantID) error {
	return tx.Create(&models.Project{Tenanted: scopes.Tenanted{AccountID: account}, Name: "planted"}).Error
}

var createForAnother = attack{
	name: "create-for-another", title: "Create a project for Bolt", code: []any{createFor},
	claim: "A row is created for the context’s tenant or not at all: the scope compares, and the policy’s check does so after it.",
	stops: stoppedBy(Scope, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		err := inVain(ctx, w.db, func(tx *gorm.DB) error { return createFor(tx, models.AccountID(w.b)) })
		return outcome{came: "a project of account 2", leaked: err == nil}, err
	},
}

// giveAway changes whose a project is.
func giveAway(tx *gorm.DB, project int64, account scopes.TenantID) (int64, error) {
	update := tx.Model(&models.Project{}).Where("id = ?", project).Update("account_id", account)
	return update.RowsAffected, update.Error
}

var changeTenant = attack{
	name: "change-the-tenant", title: "Give a project to Bolt", code: []any{giveAway},
	claim: "The tenant of a row never changes: the scope refuses, the policy refuses the new row, and the keys refuse a project that is torn from its tasks.",
	stops: func(on Layers) Layer { return on.first(Scope, RLS, Keys) },
	make: func(ctx context.Context, w world) (outcome, error) {
		var n int64
		err := inVain(ctx, w.db, func(tx *gorm.DB) (err error) {
			n, err = giveAway(tx, projectID(1), models.AccountID(w.b))
			return err
		})
		return outcome{came: fmt.Sprintf("%d rows changed", n), leaked: n > 0}, err
	},
}

// completeAll is an UPDATE whose WHERE somebody forgot.
func completeAll(tx *gorm.DB) (int64, error) {
	update := tx.Exec("UPDATE subtasks SET complete = true")
	return update.RowsAffected, update.Error
}

var updateAll = attack{
	name: "update-without-where", title: "UPDATE without WHERE", code: []any{completeAll}, raw: true,
	claim: "A raw UPDATE without WHERE changes the tenant’s own rows and nobody else’s, thanks to row-level security alone.",
	stops: stoppedBy(RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		return changed(ctx, w, completeAll, subtasksOf(1))
	},
}

// changed runs what changes rows in vain, and says whose they were.
func changed(ctx context.Context, w world, change func(*gorm.DB) (int64, error), own int64) (outcome, error) {
	var n int64
	err := inVain(ctx, w.db, func(tx *gorm.DB) (err error) {
		n, err = change(tx)
		return err
	})
	return rowsCame(n, own), err
}

// deleteAllUsers silences the ORM's question for a condition.
func deleteAllUsers(tx *gorm.DB) (int64, error) {
	deleted := tx.Where("1 = 1").Delete(&models.User{})
	return deleted.RowsAffected, deleted.Error
}

var deleteAll = attack{
	name: "delete-where-true", title: "DELETE WHERE 1 = 1", code: []any{deleteAllUsers},
	claim: "A DELETE that means everything means everything of this tenant.",
	stops: stoppedBy(Scope, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		const users = 3
		return changed(ctx, w, deleteAllUsers, users)
	},
}

// invite makes a user with an email that may be in use.
func invite(tx *gorm.DB, a scopes.Tenant, email string) error {
	return tx.Omit("DateJoined").Create(&models.User{Tenanted: scopes.Tenanted{AccountID: models.AccountID(a)}, Email: email}).Error
}

var globalUnique = attack{
	name: "unique-email", title: "Invite Bolt’s customer", code: []any{invite},
	claim: "A unique key over all tenants tells one what another has, and row-level security does not hide that: a key that begins with the tenant does.",
	stops: func(on Layers) Layer {
		if on.RLS && !on.Session {
			return RLS
		}
		return on.first(Keys)
	},
	make: func(ctx context.Context, w world) (outcome, error) {
		err := inVain(ctx, w.db, func(tx *gorm.DB) error { return invite(tx, w.a, emailOf(w.b.Slug)) })
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "23505" {
			return outcome{came: "“duplicate key”: somebody else has this customer", leaked: true}, nil
		}
		return outcome{came: "the user was made; whether others have the same email is not to be seen", by: Keys}, err
	},
}
