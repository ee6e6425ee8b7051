package talk

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"tenanted/models"
	"tenanted/scopes"
)

// forgetTheTenant is by somebody who forgot db.WithContext(ctx).
func forgetTheTenant(db *gorm.DB) (subtasks []models.Subtask, err error) {
	return subtasks, db.Find(&subtasks).Error
}

var forget = attack{
	name: "forget-the-tenant", title: "Forget the tenant", code: []any{forgetTheTenant},
	claim: "A query without a tenant panics and never reaches the database; without the scope the session refuses it, and without both row-level security shows no row.",
	stops: stoppedBy(Scope, Session, RLS),
	make: func(_ context.Context, w world) (outcome, error) {
		//tenantvet:ignore the experiment is about this mistake
		subtasks, err := forgetTheTenant(w.db)
		return rowsCame(int64(len(subtasks)), 0), err
	},
}

// rowsCame is the outcome of a query to which a tenant's own rows are the right answer.
func rowsCame(n, own int64) outcome {
	switch {
	case n == 0:
		return outcome{came: "no rows"}
	case n == 1 && own == 1:
		return outcome{came: "one row, its own"}
	case n <= own:
		return outcome{came: fmt.Sprintf("%d rows, all of its own", n)}
	default:
		return outcome{came: fmt.Sprintf("%d rows, of which %d are of other tenants", n, n-own), leaked: true}
	}
}

// countByRawSQL goes around the ORM, and has no WHERE at all.
func countByRawSQL(ctx context.Context, db *gorm.DB) (n int64, err error) {
	return n, db.WithContext(ctx).Raw("SELECT count(*) FROM subtasks").Scan(&n).Error
}

var rawSQL = attack{
	name: "raw-sql", title: "Raw SQL without WHERE", code: []any{countByRawSQL}, raw: true,
	claim: "The scope cannot see into raw SQL: only row-level security confines it to the tenant's rows.",
	stops: stoppedBy(RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		n, err := countByRawSQL(ctx, w.db)
		return rowsCame(n, subtasksOf(1)), err
	},
}

// readByKey has a key from the address, as /subtask/2111/, and trusts it.
func readByKey(ctx context.Context, db *gorm.DB, key int64) (subtask models.Subtask, err error) {
	return subtask, db.WithContext(ctx).Where("id = ?", key).Take(&subtask).Error
}

var foreignKey = attack{
	name: "read-by-key", title: "Read Bolt’s subtask as Acme", code: []any{readByKey},
	claim: "A key of another tenant finds nothing: the scope adds the tenant to the condition, and without it row-level security hides the row.",
	stops: stoppedBy(Scope, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		subtask, err := readByKey(ctx, w.db, subtaskID(2))
		return outcome{came: fmt.Sprintf("“%s” of account %d", subtask.Name, subtask.AccountID), leaked: err == nil}, err
	},
}

// searchWithOr has an OR that nobody put into parentheses.
func searchWithOr(ctx context.Context, db *gorm.DB, name string) (subtasks []models.Subtask, err error) {
	return subtasks, db.WithContext(ctx).Where("name = ? OR 1 = 1", name).Find(&subtasks).Error
}

var reachAround = attack{
	name: "or-reaches-around", title: "An OR that reaches around", code: []any{searchWithOr},
	claim: "The tenant’s condition stands beside the whole of the caller’s, in parentheses, so that no OR gets around it.",
	stops: stoppedBy(Scope, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		subtasks, err := searchWithOr(ctx, w.db, "x")
		return rowsCame(int64(len(subtasks)), subtasksOf(1)), err
	},
}

// countWithRawJoin joins by a text, in which the scope sees no model.
func countWithRawJoin(ctx context.Context, db *gorm.DB) (n int64, err error) {
	return n, db.WithContext(ctx).Model(&models.Project{}).Joins("JOIN subtasks ON true").Count(&n).Error
}

var rawJoin = attack{
	name: "raw-join", title: "A join in raw SQL", code: []any{countWithRawJoin}, raw: true,
	claim: "A join that is written as text is confined on one side only: the other side is row-level security’s.",
	stops: stoppedBy(RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		const ownProjects = 2
		n, err := countWithRawJoin(ctx, w.db)
		return rowsCame(n, ownProjects*subtasksOf(1)), err
	},
}

// peopleOfCountry goes through a table that all tenants share: user.country.users.
func peopleOfCountry(ctx context.Context, db *gorm.DB) (austria country, err error) {
	return austria, db.WithContext(ctx).Preload("People").Take(&austria, "code = 'at'").Error
}

var sharedTable = attack{
	name: "shared-table", title: "user.country.users", code: []any{peopleOfCountry},
	claim: "A shared table leads to everybody’s rows by its reverse relation, unless what it leads to is confined too.",
	stops: stoppedBy(Scope, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		austria, err := peopleOfCountry(ctx, w.db)
		return rowsCame(int64(len(austria.People)), 1), err
	},
}

// readInAnothersTransaction uses a context of another request inside a transaction, as a goroutine may.
func readInAnothersTransaction(mine, theirs context.Context, db *gorm.DB) (subtasks []models.Subtask, err error) {
	err = db.WithContext(mine).Transaction(func(tx *gorm.DB) error {
		return tx.WithContext(theirs).Find(&subtasks).Error
	})
	return subtasks, err
}

var twoContexts = attack{
	name: "two-contexts", title: "Bolt’s context in Acme’s transaction", code: []any{readInAnothersTransaction}, raw: true,
	claim: "A transaction is one tenant’s: the session refuses a statement in it whose context names another one.",
	stops: stoppedBy(Session, RLS),
	make: func(ctx context.Context, w world) (outcome, error) {
		subtasks, err := readInAnothersTransaction(ctx, scopes.WithTenant(ctx, w.b), w.db)
		return rowsCame(int64(len(subtasks)), 0), err
	},
}
