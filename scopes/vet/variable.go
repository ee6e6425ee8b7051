package vet

import (
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// variable judges a field or a package variable by its type and by what the package assigns to it.
func (t *tracer) variable(v types.Object, typ types.Type) {
	variable, ok := v.(*types.Var)
	if !ok || !isDB(typ) || v.Pkg() == nil || v.Pkg().Path() == gormPath || t.mayHaveContext(variable) {
		t.found(source{kind: given})
		return
	}
	name := "variable " + v.Name()
	if variable.IsField() {
		name = "field " + v.Name()
	}
	t.found(source{kind: bare, name: name})
}

// mayHaveContext reports whether the package assigns to a variable a *gorm.DB that has a context, or may have
// one for all that can be seen.
func (ix *index) mayHaveContext(v *types.Var) bool {
	if known, ok := ix.contexts[v]; ok {
		return known
	}
	ix.contexts[v] = false // for a search that comes back here
	for _, value := range ix.assigned[v] {
		if ix.valueMayHaveContext(value, map[*ssa.Parameter]bool{}) {
			ix.contexts[v] = true
			break
		}
	}
	return ix.contexts[v]
}

// valueMayHaveContext is mayHaveContext for a value. A parameter of a named function is what its calls in the
// package hand it: a constructor alone is no sign of a context, one that is called with a transaction is.
func (ix *index) valueMayHaveContext(value ssa.Value, seen map[*ssa.Parameter]bool) bool {
	sources, _ := ix.trace(value)
	for _, s := range sources {
		switch s.kind {
		case given:
			return true
		case parameter:
			if !isDB(s.param.Type()) || s.param.Parent().Parent() != nil {
				return true
			}
			if !seen[s.param] {
				seen[s.param] = true
				for _, c := range ix.calls[s.param.Parent()] {
					if ix.valueMayHaveContext(argument(c, s.param), seen) {
						return true
					}
				}
			}
		}
	}
	return false
}
