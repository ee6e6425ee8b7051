package vet

import (
	"go/token"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis/passes/buildssa"
	"golang.org/x/tools/go/ssa"
)

// index is what one pass over a package's functions finds, for questions that lead from one function to another.
type index struct {
	fset      *token.FileSet
	functions []*ssa.Function
	calls     map[*ssa.Function][]ssa.CallInstruction // the calls of a function that name it
	passed    map[*ssa.Function][]ssa.CallInstruction // the calls that are handed a function
	closures  map[*ssa.Function]*ssa.MakeClosure      // where a function literal gets its variables
	launched  map[*ssa.Function]bool                  // started by a go statement
	stores    map[ssa.Value][]ssa.Value               // what is assigned to a local variable that has an address
	assigned  map[*types.Var][]ssa.Value              // what is assigned to a field or a package variable
	contexts  map[*types.Var]bool                     // answers of mayHaveContext
}

func newIndex(fset *token.FileSet, program *buildssa.SSA) *index {
	ix := &index{
		fset:     fset,
		calls:    map[*ssa.Function][]ssa.CallInstruction{},
		passed:   map[*ssa.Function][]ssa.CallInstruction{},
		closures: map[*ssa.Function]*ssa.MakeClosure{},
		launched: map[*ssa.Function]bool{},
		stores:   map[ssa.Value][]ssa.Value{},
		assigned: map[*types.Var][]ssa.Value{},
		contexts: map[*types.Var]bool{},
	}
	ix.functions = append(ix.functions, program.SrcFuncs...)
	// The initial values of package variables are no source function to buildssa.
	if init := program.Pkg.Func("init"); init != nil {
		ix.functions = appendNested(ix.functions, init)
	}
	// First what leads from a captured variable to the variable, since a store may be to a captured one.
	ix.eachInstruction(ix.addClosure)
	ix.eachInstruction(ix.add)
	return ix
}

func appendNested(functions []*ssa.Function, fn *ssa.Function) []*ssa.Function {
	functions = append(functions, fn)
	for _, nested := range fn.AnonFuncs {
		functions = appendNested(functions, nested)
	}
	return functions
}

func (ix *index) eachInstruction(visit func(ssa.Instruction)) {
	for _, fn := range ix.functions {
		for _, block := range fn.Blocks {
			for _, instr := range block.Instrs {
				visit(instr)
			}
		}
	}
}

func (ix *index) addClosure(instr ssa.Instruction) {
	if c, ok := instr.(*ssa.MakeClosure); ok {
		ix.closures[c.Fn.(*ssa.Function)] = c
	}
}

func (ix *index) add(instr ssa.Instruction) {
	switch instr := instr.(type) {
	case *ssa.Store:
		ix.addStore(instr)
	case ssa.CallInstruction:
		ix.addCall(instr)
	}
}

func (ix *index) addStore(s *ssa.Store) {
	switch addr := ix.cell(s.Addr).(type) {
	case *ssa.Alloc:
		ix.stores[addr] = append(ix.stores[addr], s.Val)
	case *ssa.Global:
		if v, ok := addr.Object().(*types.Var); ok {
			ix.assign(v, s)
		}
	case *ssa.FieldAddr:
		ix.assign(fieldOf(addr.X.Type(), addr.Field), s)
	}
}

// assign records an assignment to a field or package variable. What a test assigns says nothing about the
// code under test.
func (ix *index) assign(v *types.Var, s *ssa.Store) {
	if ix.inTest(v.Pos()) || !ix.inTest(s.Parent().Pos()) {
		ix.assigned[v] = append(ix.assigned[v], s.Val)
	}
}

func (ix *index) inTest(pos token.Pos) bool {
	return pos.IsValid() && strings.HasSuffix(ix.fset.Position(pos).Filename, "_test.go")
}

func (ix *index) addCall(c ssa.CallInstruction) {
	if fn := c.Common().StaticCallee(); fn != nil {
		fn = origin(fn)
		ix.calls[fn] = append(ix.calls[fn], c)
		if _, ok := c.(*ssa.Go); ok {
			ix.launched[fn] = true
		}
	}
	for _, arg := range c.Common().Args {
		if fn := functionOf(arg); fn != nil {
			ix.passed[fn] = append(ix.passed[fn], c)
		}
	}
}

// cell returns the variable behind an address: for one that a function literal captures, the variable of the
// function around it.
func (ix *index) cell(addr ssa.Value) ssa.Value {
	for {
		free, ok := addr.(*ssa.FreeVar)
		if !ok {
			return addr
		}
		if addr = ix.binding(free); addr == nil {
			return free
		}
	}
}

// binding returns what a function literal captures as free, or nil.
func (ix *index) binding(free *ssa.FreeVar) ssa.Value {
	c := ix.closures[free.Parent()]
	if c == nil {
		return nil
	}
	for i, v := range free.Parent().FreeVars {
		if v == free {
			return c.Bindings[i]
		}
	}
	return nil
}

// functionOf returns the function that a value is, or nil.
func functionOf(v ssa.Value) *ssa.Function {
	switch v := v.(type) {
	case *ssa.Function:
		return origin(v)
	case *ssa.MakeClosure:
		return v.Fn.(*ssa.Function)
	case *ssa.ChangeType:
		return functionOf(v.X)
	case *ssa.MakeInterface:
		return functionOf(v.X)
	default:
		return nil
	}
}

// origin returns the generic function that fn is an instance of, or fn.
func origin(fn *ssa.Function) *ssa.Function {
	if o := fn.Origin(); o != nil {
		return o
	}
	return fn
}

// fieldOf returns the i-th field of the struct that t is or points to.
func fieldOf(t types.Type, i int) *types.Var {
	return deref(t).Underlying().(*types.Struct).Field(i).Origin()
}

// variadic returns the values behind a call's last argument if that is a list made for the call, without
// their conversion to the list's type; else nil.
func variadic(list ssa.Value) []ssa.Value {
	slice, ok := list.(*ssa.Slice)
	if !ok {
		return nil
	}
	array, ok := slice.X.(*ssa.Alloc)
	if !ok {
		return nil
	}
	var values []ssa.Value
	for _, instr := range *array.Referrers() {
		element, ok := instr.(*ssa.IndexAddr)
		if !ok {
			continue
		}
		for _, use := range *element.Referrers() {
			if s, ok := use.(*ssa.Store); ok && s.Addr == element {
				values = append(values, unwrapped(s.Val))
			}
		}
	}
	return values
}

func unwrapped(v ssa.Value) ssa.Value {
	switch v := v.(type) {
	case *ssa.MakeInterface:
		return v.X
	case *ssa.ChangeType:
		return v.X
	case *ssa.ChangeInterface:
		return v.X
	default:
		return v
	}
}
