package vet

import (
	"database/sql"
	"reflect"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/registry"
)

// The check knows these packages by their names only, and would fall silent if one changed.
func TestNamesAreThePackagesOwn(t *testing.T) {
	t.Parallel()
	require.Equal(t, gormPath, reflect.TypeFor[gorm.DB]().PkgPath())
	require.Equal(t, scopesPath, reflect.TypeFor[scopes.TenantID]().PkgPath())
	require.Equal(t, "TenantID", reflect.TypeFor[scopes.TenantID]().Name())
	require.Equal(t, ginPath, reflect.TypeFor[gin.Context]().PkgPath())
	for i, typ := range []reflect.Type{reflect.TypeFor[gorm.Interface[int]](), reflect.TypeFor[gorm.CreateInterface[int]](), reflect.TypeFor[gorm.ChainInterface[int]]()} {
		require.Equal(t, genericTypes[i]+"[int]", typ.Name())
	}
	require.Equal(t, registryPath, reflect.TypeFor[registry.Registry]().PkgPath())
	_ = (*registry.Registry).DB
	_ = (*registry.Registry).OpenGORM
}

func TestMethodsAreThePackagesOwn(t *testing.T) {
	t.Parallel()
	db := reflect.TypeFor[*gorm.DB]()
	for _, names := range []map[string]bool{statementMethods, modelMethods, relationMethods, callbackMethods} {
		requireMethods(t, db, names)
	}
	requireMethods(t, reflect.TypeFor[*gorm.Association](), associationMethods)
	requireMethods(t, reflect.TypeFor[*sql.DB](), sqlMethods)
}

// A method that a later GORM adds has to be looked at: does it send a statement?
func TestEveryMethodIsClassified(t *testing.T) {
	t.Parallel()
	harmless := set("AddError", "AfterInitialize", "Apply", "Assign", "BindVarTo", "DataTypeOf", "DefaultValueOf", "Initialize", "QuoteTo",
		"Association", "Attrs", "AutoMigrate", "Begin", "Callback", "Clauses", "Commit",
		"Connection", "DB", "Debug", "Distinct", "Explain", "Get", "Group", "Having", "InnerJoins", "InstanceGet", "InstanceSet",
		"Joins", "Limit", "MapColumns", "Migrator", "Model", "Name", "Not", "Offset", "Omit", "Or", "Order", "Preload", "Raw", "Rollback",
		"RollbackTo", "SavePoint", "ScanRows", "Scopes", "Select", "Session", "Set", "SetupJoinTable", "Table", "ToSQL",
		"Transaction", "Unscoped", "Use", "Where", "WithContext")
	db := reflect.TypeFor[*gorm.DB]()
	for i := range db.NumMethod() {
		name := db.Method(i).Name
		assert.True(t, harmless[name] != statementMethods[name], "method %s of *gorm.DB: does it send a statement?", name)
	}
}

func requireMethods(t *testing.T, typ reflect.Type, names map[string]bool) {
	t.Helper()
	for name := range names {
		_, ok := typ.MethodByName(name)
		require.True(t, ok, "%s has no method %s", typ, name)
	}
}
