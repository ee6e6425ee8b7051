package scopes

import (
	"context"

	"gorm.io/gorm"
)

// FilterTenant returns a scope, for gorm.DB.Scopes, that confines a statement to the tenant with that id, as in
// [Tenant]. An id that is nobody's panics with a [*TenantMissingError]. Where the context carries a tenant it must be that one: a filter that contradicts the context panics with a
// [*TenantMismatchError]. In cross-tenant work it narrows the statement to one tenant. Without a tenant in the
// context it stands in for one; scopes/registry, which must know the placement too, refuses that.
func FilterTenant(id any) func(*gorm.DB) *gorm.DB {
	only := idOf(id)
	return func(db *gorm.DB) *gorm.DB {
		stmt := db.Statement
		who, known := lookup(stmt.Context)
		switch {
		case only.nobody():
			abort(db, &TenantMissingError{Model: describe(stmt), Operation: "filter"})
		case known && who.reason != "":
			who.only = only
		case known && !who.id.is(only):
			abort(db, &TenantMismatchError{Model: describe(stmt), Value: only.key, Want: who.id.key})
		case !known:
			who = identity{tenant: Tenant{ID: id}, id: only}
		}
		stmt.Context = context.WithValue(stmt.Context, identityKey{}, who)
		return db
	}
}

// FilterCurrentTenant is a scope, for gorm.DB.Scopes, that says what holds anyway: the statement sees the
// context's tenant only. It panics with a [*TenantMissingError] when there is none, cross-tenant work included.
func FilterCurrentTenant(db *gorm.DB) *gorm.DB {
	if _, err := FromContext(db.Statement.Context); err != nil {
		abort(db, err)
	}
	return db
}

const requireRowsKey = "scopes:require_rows"

// RequireRows is a scope, for gorm.DB.Scopes, that makes an update or delete fail with gorm.ErrRecordNotFound
// when it touches no row. Whether the row is another tenant's or there is none, the answer is the same.
func RequireRows(db *gorm.DB) *gorm.DB { return db.Set(requireRowsKey, true) }

// requireRows is the callback that does what [RequireRows] asks for. It runs before the commit.
func requireRows(db *gorm.DB) {
	if db.Error != nil || db.DryRun || db.RowsAffected != 0 {
		return
	}
	if _, asked := db.Get(requireRowsKey); asked {
		_ = db.AddError(gorm.ErrRecordNotFound)
	}
}
