// Package models holds the task tracker's nouns, one file each: Account, User, Project, Task, Subtask, and those by which
// people and programs are known: Session, PasswordReset, APIToken, SignInAttempt. A noun's
// queries are in the manager beside it, as in Django:
//
//	subtasks, page, err := models.New(db).Subtasks(ctx).Filter(models.SubtaskFilter{Status: models.Open}).Page(models.ByName, 1, 10)
//
// Everything but Account embeds [scopes.Tenanted], so a query on it without a tenant in the context panics; Account
// is its own tenant, by its id. Keys are composite and begin with the tenant, as the tables' are (migrations/tenant),
// so an association never leads to another tenant's row. A context from scopes.AllTenants makes a manager read over
// all tenants.
//
// What changes rows asks for the [Actor] in the context, and for what that one's role may do (actor.go).
//
// Errors are [ErrNotFound], [*PageError], [ErrSignInRequired], [*NotAllowedError], those that a method names, and those of the
// database, which the managers pass on as they are.
package models

import (
	"context"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// ErrNotFound says that the tenant has no such row. Another tenant's row gives the same error.
var ErrNotFound = gorm.ErrRecordNotFound

// Models gives access to the managers. It may be used by several goroutines at once.
type Models struct{ db *gorm.DB }

// New returns the models of db, which must be guarded by scopes.Plugin.
func New(db *gorm.DB) Models { return Models{db} }

// Accounts returns the manager of the accounts that ctx may see: its tenant's own, or all.
func (m Models) Accounts(ctx context.Context) AccountManager {
	return AccountManager{m.db.WithContext(ctx)}
}

// Projects returns the manager of the projects that ctx may see.
func (m Models) Projects(ctx context.Context) ProjectManager {
	return ProjectManager{db: m.db.WithContext(ctx)}
}

// Tasks returns the manager of the tasks that ctx may see.
func (m Models) Tasks(ctx context.Context) TaskManager { return TaskManager{m.db.WithContext(ctx)} }

// Subtasks returns the manager of the subtasks that ctx may see.
func (m Models) Subtasks(ctx context.Context) SubtaskManager {
	return SubtaskManager{db: m.db.WithContext(ctx)}
}

// Users returns the manager of the users of ctx's tenant.
func (m Models) Users(ctx context.Context) UserManager { return UserManager{m.db.WithContext(ctx)} }

// Sessions returns the manager of the sessions of ctx's tenant.
func (m Models) Sessions(ctx context.Context) SessionManager {
	return SessionManager{m.db.WithContext(ctx)}
}

// APITokens returns the manager of the API tokens of ctx's tenant.
func (m Models) APITokens(ctx context.Context) APITokenManager {
	return APITokenManager{m.db.WithContext(ctx)}
}

// All returns an empty value of every model, parents before children.
func All() []any { return append(Data(), Access()...) }

// Data are the models whose rows are a tenant's data, which an archive has.
func Data() []any { return []any{&Account{}, &User{}, &Project{}, &Task{}, &Subtask{}} }

// Access are the models whose rows let somebody in or keep them out, or remember a request. An archive does not have them: it would
// be a bunch of keys. They are the tenant's rows all the same: they are audited, and they move and go with the tenant.
func Access() []any {
	return []any{&Session{}, &PasswordReset{}, &APIToken{}, &SignInAttempt{}, &RequestKey{}}
}

func label(noun string, id int64) string { return noun + " #" + strconv.FormatInt(id, 10) }

// matchesWords is true of a tsvector that has all words of a search, in whatever case. A word of four letters or more may be
// the beginning of one; shorter beginnings would be those of too many words. A search without a word matches nothing.
// The query is a subselect, so that PostgreSQL makes it once and not for each row.
func matchesWords(words string) string {
	return words + ` @@ (SELECT regexp_replace(nullif(plainto_tsquery('simple', ?)::text, ''), '([^'' ]{4,}'')', '\1:*', 'g')::tsquery)`
}

// reversed returns the order from the other end.
func reversed(order string) string {
	columns := strings.Split(order, ", ")
	for i, c := range columns {
		if column, descends := strings.CutSuffix(c, " DESC"); descends {
			columns[i] = column
		} else {
			columns[i] = c + " DESC"
		}
	}
	return strings.Join(columns, ", ")
}
