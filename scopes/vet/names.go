package vet

import (
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// The packages whose names this package knows. A test compares the names with the packages.
const (
	gormPath     = "gorm.io/gorm"
	scopesPath   = "tenanted/scopes"
	registryPath = "tenanted/scopes/registry"
	ginPath      = "github.com/gin-gonic/gin"
)

// genericTypes are the interfaces of gorm.G that build a query.
var genericTypes = []string{"Interface", "CreateInterface", "ChainInterface"}

// statementMethods are the methods of *gorm.DB that send a statement, or build one whose result is sent.
var statementMethods = set("Create", "CreateInBatches", "Save", "First", "Take", "Last", "Find", "FindInBatches",
	"FirstOrInit", "FirstOrCreate", "Update", "Updates", "UpdateColumn", "UpdateColumns", "Delete", "Count", "Row",
	"Rows", "Scan", "Pluck", "Exec")

// modelMethods are the methods of *gorm.DB whose first argument is, or stands for, the model.
var modelMethods = set("Model", "Create", "CreateInBatches", "Save", "First", "Take", "Last", "Find",
	"FindInBatches", "FirstOrInit", "FirstOrCreate", "Updates", "UpdateColumns", "Delete", "Scan")

// relationMethods are the methods whose first argument names a relation of the model.
var relationMethods = set("Preload", "Joins", "InnerJoins", "Association")

// callbackMethods are the methods of *gorm.DB that call a function with a *gorm.DB of the same context.
var callbackMethods = set("Transaction", "Connection", "FindInBatches")

// associationMethods are the methods of *gorm.Association that send statements.
var associationMethods = set("Find", "Append", "Replace", "Delete", "Clear", "Count")

// sqlMethods are the methods of *sql.DB that need the tenant. Each has a twin with the suffix Context, but
// for Begin and Conn.
var sqlMethods = set("Query", "QueryContext", "QueryRow", "QueryRowContext", "Exec", "ExecContext", "Prepare",
	"PrepareContext", "Begin", "BeginTx", "Conn")

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// callee returns the function or method that a call names, or nil for the call of a function value.
func callee(c ssa.CallInstruction) *types.Func {
	common := c.Common()
	if common.IsInvoke() {
		return common.Method.Origin()
	}
	fn := common.StaticCallee()
	if fn == nil {
		return nil
	}
	if o := fn.Origin(); o != nil {
		fn = o
	}
	f, _ := fn.Object().(*types.Func)
	return f
}

// isMethod reports whether f is a method of the named type, or of a pointer to it.
func isMethod(f *types.Func, path, typeName string) bool {
	if f == nil || f.Signature().Recv() == nil {
		return false
	}
	return isNamed(f.Signature().Recv().Type(), path, typeName)
}

// isFunc reports whether f is one of the functions of a package that have these names; any one if none are given.
func isFunc(f *types.Func, path string, names ...string) bool {
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == path && f.Signature().Recv() == nil &&
		(len(names) == 0 || slices.Contains(names, f.Name()))
}

// isNamed reports whether t, or what it points to, is the named type.
func isNamed(t types.Type, path, name string) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == path
}

func isDB(t types.Type) bool      { return isNamed(t, gormPath, "DB") }
func isContext(t types.Type) bool { return isNamed(t, "context", "Context") }

// isGinContext reports whether t is *gin.Context, which is a context.Context, and not the request's.
func isGinContext(t types.Type) bool { return isNamed(t, ginPath, "Context") }

// isGeneric reports whether t is what gorm.G and its methods return, of which GORM can make a subquery.
func isGeneric(t types.Type) bool {
	return slices.ContainsFunc(genericTypes, func(name string) bool { return isNamed(t, gormPath, name) })
}

// imports reports whether a package imports one of the paths, itself or through what it imports.
func imports(pkg *types.Package, path string) bool {
	seen := map[*types.Package]bool{}
	var visit func(*types.Package) bool
	visit = func(p *types.Package) bool {
		if p.Path() == path {
			return true
		}
		if seen[p] {
			return false
		}
		seen[p] = true
		return slices.ContainsFunc(p.Imports(), visit)
	}
	return visit(pkg)
}

// tenantedName returns the name of the tenanted model that t is, points to or is a list of; "" if it is none.
func tenantedName(t types.Type) string {
	n := modelType(t)
	if n == nil || !hasTenant(n.Underlying(), 0) {
		return ""
	}
	return n.Obj().Name()
}

// modelType returns the named struct that t is, points to or is a list of, or nil.
func modelType(t types.Type) *types.Named {
	switch t := types.Unalias(t).(type) {
	case *types.Pointer:
		return modelType(t.Elem())
	case *types.Slice:
		return modelType(t.Elem())
	case *types.Array:
		return modelType(t.Elem())
	case *types.Named:
		if _, ok := t.Underlying().(*types.Struct); ok {
			return t
		}
		return modelType(t.Underlying())
	default:
		return nil
	}
}

// maxEmbedding bounds the search through embedded structs, which may contain themselves by pointer.
const maxEmbedding = 8

// hasTenant reports whether a struct has a field of type scopes.TenantID or the mark scopes.HasTenant, also in embedded
// structs.
func hasTenant(t types.Type, depth int) bool {
	s, ok := t.Underlying().(*types.Struct)
	if !ok || depth > maxEmbedding {
		return false
	}
	for i := range s.NumFields() {
		f := s.Field(i)
		if isNamed(f.Type(), scopesPath, "TenantID") || isNamed(f.Type(), scopesPath, "HasTenant") {
			return true
		}
		if embeds(s, i) && hasTenant(deref(f.Type()), depth+1) {
			return true
		}
	}
	return false
}

func deref(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// typeArguments returns the type arguments of a generic type.
func typeArguments(t types.Type) []types.Type {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok {
		return nil
	}
	var list []types.Type
	for arg := range n.TypeArgs().Types() {
		list = append(list, arg)
	}
	return list
}
