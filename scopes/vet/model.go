package vet

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"slices"

	"golang.org/x/tools/go/analysis"
	"gorm.io/gorm/schema"
)

// checkModels reports the GORM models with a tenant column that is an ordinary value to scopes, so that their
// rows are confined to no tenant.
func checkModels(pass *analysis.Pass, columns []string) []analysis.Diagnostic {
	if !imports(pass.Pkg, scopesPath) {
		return nil
	}
	amongModels := declaresTenanted(pass.Pkg)
	var findings []analysis.Diagnostic
	for _, file := range pass.Files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				findings = append(findings, checkModel(pass.TypesInfo.Defs[spec.Name], columns, amongModels)...)
			}
			return true
		})
	}
	return findings
}

// declaresTenanted reports whether a package has a tenanted model of its own.
func declaresTenanted(pkg *types.Package) bool {
	return slices.ContainsFunc(pkg.Scope().Names(), func(name string) bool {
		obj, ok := pkg.Scope().Lookup(name).(*types.TypeName)
		return ok && hasTenant(obj.Type(), 0)
	})
}

func checkModel(obj types.Object, columns []string, amongModels bool) []analysis.Diagnostic {
	if obj == nil || hasTenant(obj.Type(), 0) {
		return nil
	}
	s, ok := obj.Type().Underlying().(*types.Struct)
	if !ok || !isModel(obj.Type(), s) && !(amongModels && hasID(s)) {
		return nil
	}
	for f := range s.Fields() {
		if f.Anonymous() && isNamed(f.Type(), scopesPath, "Untenanted") {
			return nil
		}
	}
	for i := range s.NumFields() {
		f := s.Field(i)
		if !isKey(f.Type()) || !slices.Contains(columns, column(s, i)) {
			continue
		}
		return []analysis.Diagnostic{{Pos: f.Pos(), Message: fmt.Sprintf(
			"%s has the tenant column %s, but scopes cannot tell: embed scopes.Tenanted, or scopes.HasTenant and tag %s gorm:\"tenant\", or embed scopes.Untenanted",
			obj.Name(), column(s, i), f.Name())}}
	}
	return nil
}

// isModel reports whether a struct is plainly a table's row to GORM, and not, say, a form or the result of a
// query: it embeds gorm.Model, names its table, or its tags describe keys or relations.
func isModel(t types.Type, s *types.Struct) bool {
	if m, _, _ := types.LookupFieldOrMethod(t, true, nil, "TableName"); m != nil {
		return true
	}
	for i := range s.NumFields() {
		if s.Field(i).Anonymous() && isNamed(s.Field(i).Type(), gormPath, "Model") {
			return true
		}
		settings := tagOf(s, i)
		for _, setting := range modelSettings {
			if _, ok := settings[setting]; ok {
				return true
			}
		}
	}
	return false
}

// hasID reports whether a struct has what GORM takes for a primary key. Among tenanted models that tells another
// model.
func hasID(s *types.Struct) bool {
	for f := range s.Fields() {
		if f.Name() == "ID" && isKey(f.Type()) {
			return true
		}
	}
	return false
}

// modelSettings are what only the tags of a model contain.
var modelSettings = []string{"PRIMARYKEY", "PRIMARY_KEY", "AUTOINCREMENT", "FOREIGNKEY", "REFERENCES", "MANY2MANY", "POLYMORPHIC",
	"INDEX", "UNIQUEINDEX", "UNIQUE", "NOT NULL", "CONSTRAINT", "CHECK", "DEFAULT", "TYPE", "SIZE", "AUTOCREATETIME", "AUTOUPDATETIME"}

// isKey reports whether a column of this type could hold a tenant's key: numbers, texts and UUIDs.
func isKey(t types.Type) bool {
	switch u := deref(t).Underlying().(type) {
	case *types.Basic:
		return u.Info()&(types.IsInteger|types.IsString) != 0
	case *types.Array:
		return types.Identical(u.Elem(), types.Typ[types.Byte])
	default:
		return false
	}
}

// column returns the name GORM gives to the column of the i-th field, or "" if it gives it none.
func column(s *types.Struct, i int) string {
	settings := tagOf(s, i)
	if _, ignored := settings["-"]; ignored {
		return ""
	}
	if name := settings["COLUMN"]; name != "" {
		return name
	}
	return schema.NamingStrategy{}.ColumnName("", s.Field(i).Name())
}

// embeds reports whether the fields of the i-th field's struct are the model's own.
func embeds(s *types.Struct, i int) bool {
	_, tagged := tagOf(s, i)["EMBEDDED"]
	return tagged || s.Field(i).Anonymous()
}

func tagOf(s *types.Struct, i int) map[string]string {
	return schema.ParseTagSetting(reflect.StructTag(s.Tag(i)).Get("gorm"), ";")
}
