package vet

import (
	"go/token"
	"go/types"
	"regexp"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// kind is what is known of where a *gorm.DB or a context comes from.
type kind int

const (
	unknown    kind = iota // a call that is not known to have a context
	given                  // may carry a tenant, for all that can be seen
	parameter              // a parameter: it is up to the caller
	bare                   // a *gorm.DB that never saw a context
	background             // a context that carries no tenant
)

// source is one place where a *gorm.DB or a context comes from.
type source struct {
	kind  kind
	name  string         // for people, if bare or background
	param *ssa.Parameter // if a parameter
	pos   token.Pos      // where a *gorm.DB was given the context, or invalid
}

// frame says for which call a function is looked at, so that its parameters are that call's arguments.
type frame struct {
	call  ssa.CallInstruction
	fn    *ssa.Function
	outer *frame
}

// find returns the frame of fn among f and those around it, or nil.
func (f *frame) find(fn *ssa.Function) *frame {
	for ; f != nil; f = f.outer {
		if f.fn == fn {
			return f
		}
	}
	return nil
}

// outermost returns the position of the call with which the search left the function it began in.
func (f *frame) outermost(pos token.Pos) token.Pos {
	for ; f != nil; f = f.outer {
		pos = f.call.Pos()
	}
	return pos
}

type step struct {
	value ssa.Value
	frame *frame
}

// tracer follows a value back to its sources, and notes the GORM calls on the way.
type tracer struct {
	*index
	seen    map[step]bool
	sources []source
	topic   topic
	entry   token.Pos // where the search went from a *gorm.DB over to its context
}

// trace returns where v comes from, and what the GORM calls on the way say the statement is about.
func (ix *index) trace(v ssa.Value) ([]source, topic) {
	t := &tracer{index: ix, seen: map[step]bool{}}
	t.follow(v, nil)
	return t.sources, t.topic
}

func (t *tracer) found(s source) {
	s.pos = t.entry
	t.sources = append(t.sources, s)
}

func (t *tracer) follow(v ssa.Value, f *frame) {
	if t.seen[step{v, f}] {
		return
	}
	t.seen[step{v, f}] = true
	switch v := v.(type) {
	case *ssa.Const: // nil: no *gorm.DB at all
	case *ssa.Phi:
		for _, edge := range v.Edges {
			t.follow(edge, f)
		}
	case *ssa.ChangeType:
		t.follow(v.X, f)
	case *ssa.ChangeInterface:
		t.follow(v.X, f)
	case *ssa.MakeInterface:
		if isGinContext(v.X.Type()) {
			t.found(source{kind: background, name: "a *gin.Context (unlike its Request.Context())"})
			return
		}
		t.found(source{kind: given})
	case *ssa.UnOp:
		t.load(v, f)
	case *ssa.Field:
		t.variable(fieldOf(v.X.Type(), v.Field), v.Type())
	case *ssa.FreeVar:
		t.follow(t.cell(v), f)
	case *ssa.Parameter:
		t.parameter(v, f)
	case *ssa.Call:
		t.call(v, 0, f)
	case *ssa.Extract:
		if c, ok := v.Tuple.(*ssa.Call); ok {
			t.call(c, v.Index, f)
			return
		}
		t.found(source{kind: given})
	default:
		t.found(source{kind: given})
	}
}

// load follows the value read through a pointer.
func (t *tracer) load(v *ssa.UnOp, f *frame) {
	if v.Op != token.MUL {
		t.found(source{kind: given})
		return
	}
	switch addr := t.cell(v.X).(type) {
	case *ssa.Alloc:
		for _, stored := range t.stores[addr] {
			t.follow(stored, f)
		}
		if t.escapes(addr) {
			t.found(source{kind: given})
		}
	case *ssa.FieldAddr:
		t.variable(fieldOf(addr.X.Type(), addr.Field), v.Type())
	case *ssa.Global:
		t.variable(addr.Object(), v.Type())
	default:
		t.found(source{kind: given})
	}
}

// escapes reports whether a local variable's address is handed to a call, which may assign to it.
func (t *tracer) escapes(addr *ssa.Alloc) bool {
	for _, instr := range *addr.Referrers() {
		switch instr.(type) {
		case *ssa.Store, *ssa.UnOp, *ssa.MakeClosure, *ssa.DebugRef:
		default:
			return true
		}
	}
	return false
}

// parameter follows a parameter to the call the search came through. The *gorm.DB that Transaction hands its callback is
// the one Transaction is called on.
func (t *tracer) parameter(p *ssa.Parameter, f *frame) {
	if in := f.find(p.Parent()); in != nil {
		t.follow(argument(in.call, p), in.outer)
		return
	}
	isCallback := false
	for _, c := range t.passed[p.Parent()] {
		if m := callee(c); isMethod(m, gormPath, "DB") && callbackMethods[m.Name()] {
			isCallback = true
			t.follow(c.Common().Args[0], f)
		}
	}
	if !isCallback {
		t.found(source{kind: parameter, param: p})
	}
}

// argument returns what a call of p's function hands it for p.
func argument(c ssa.CallInstruction, p *ssa.Parameter) ssa.Value {
	return c.Common().Args[slices.Index(p.Parent().Params, p)]
}

// call follows the i-th result of a call.
func (t *tracer) call(c *ssa.Call, i int, f *frame) {
	fn, args := callee(c), c.Call.Args
	switch {
	case isMethod(fn, gormPath, "DB"):
		t.gormCall(fn.Name(), c, f)
	case isMethod(fn, gormPath, "Association"):
		t.follow(args[0], f)
	case isFunc(fn, gormPath, "Open"), isMethod(fn, registryPath, "Registry"):
		t.found(source{kind: bare, name: "the result of " + fn.Name()})
	case isFunc(fn, "context", "Background", "TODO"):
		t.found(source{kind: background, name: "context." + fn.Name() + "()"})
	case fn != nil && fn.Name() == "Context" && fn.Pkg() != nil && fn.Pkg().Path() == "testing":
		t.found(source{kind: background, name: "a test's Context()"})
	case isFunc(fn, "context"), isFunc(fn, "os/signal", "NotifyContext"), isFunc(fn, "golang.org/x/sync/errgroup", "WithContext"):
		t.follow(args[0], f)
	case isFunc(fn, scopesPath):
		t.found(source{kind: given})
	default:
		t.otherCall(c, i, f)
	}
}

// gormCall follows a method of *gorm.DB: to its context if it sets one, else to its receiver.
func (t *tracer) gormCall(method string, c *ssa.Call, f *frame) {
	args := c.Call.Args
	t.topic.note(method, args[1:])
	var ctx ssa.Value
	switch method {
	case "WithContext":
		ctx = args[1]
	case "Session":
		ctx = sessionContext(args[1])
	}
	switch {
	case ctx != nil:
		t.toContext(c, ctx, f)
	case method == "Scopes" && namesTenant(args[1]):
		t.found(source{kind: given})
	default:
		t.follow(args[0], f)
	}
}

// namesTenant reports whether one of the arguments of Scopes is scopes.FilterTenant, which stands in for a tenant
// in the context.
func namesTenant(scopes ssa.Value) bool {
	return slices.ContainsFunc(variadic(scopes), func(v ssa.Value) bool {
		c, ok := v.(*ssa.Call)
		return ok && isFunc(callee(c), scopesPath, "FilterTenant")
	})
}

// toContext goes over from a *gorm.DB to the context it is given. Findings about the context are reported where
// that happens, in the function the search began in.
func (t *tracer) toContext(c *ssa.Call, ctx ssa.Value, f *frame) {
	before := t.entry
	t.entry = f.outermost(c.Pos())
	t.follow(ctx, f)
	t.entry = before
}

// sessionContext returns the Context that is set in the literal of a *gorm.Session, or nil.
func sessionContext(session ssa.Value) ssa.Value {
	alloc, ok := session.(*ssa.Alloc)
	if !ok {
		return nil
	}
	for _, instr := range *alloc.Referrers() {
		field, ok := instr.(*ssa.FieldAddr)
		if !ok || fieldOf(field.X.Type(), field.Field).Name() != "Context" {
			continue
		}
		for _, use := range *field.Referrers() {
			if s, ok := use.(*ssa.Store); ok && s.Addr == field {
				return s.Val
			}
		}
	}
	return nil
}

// maxFrames bounds how deep the search goes into calls.
const maxFrames = 6

// otherCall follows a call within the package to what it returns. Of other calls, one that is given nothing cannot
// know a tenant, and one that is given a context may return a *gorm.DB that has it, unless it is called as what
// opens a connection is.
func (t *tracer) otherCall(c *ssa.Call, i int, f *frame) {
	if fn := c.Call.StaticCallee(); fn != nil && len(origin(fn).Blocks) > 0 {
		t.results(c, origin(fn), i, f)
		return
	}
	fn := callee(c)
	switch {
	case fn == nil || !isDB(resultType(c, i)):
		t.found(source{kind: given})
	case fn.Signature().Recv() == nil && fn.Signature().Params().Len() == 0:
		t.found(source{kind: bare, name: "the result of " + fn.Name()})
	case opens.MatchString(fn.Name()):
		t.found(source{kind: unknown})
	default:
		t.found(source{kind: given})
	}
}

var opens = regexp.MustCompile(`^(Must)?(Open|Connect|New)`)

// results follows the i-th result of a function of this package.
func (t *tracer) results(c *ssa.Call, fn *ssa.Function, i int, f *frame) {
	depth := 0
	for up := f; up != nil; up = up.outer {
		depth++
	}
	if depth >= maxFrames || f.find(fn) != nil {
		t.found(source{kind: given})
		return
	}
	inner := &frame{call: c, fn: fn, outer: f}
	for _, block := range fn.Blocks {
		if ret, ok := block.Instrs[len(block.Instrs)-1].(*ssa.Return); ok && i < len(ret.Results) {
			t.follow(ret.Results[i], inner)
		}
	}
}

func resultType(c *ssa.Call, i int) types.Type {
	if tuple, ok := c.Type().(*types.Tuple); ok {
		return tuple.At(i).Type()
	}
	return c.Type()
}
