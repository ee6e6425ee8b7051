package vet

import (
	"fmt"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// statement is a place that needs a tenant: a call that sends SQL, or one that hands a *gorm.DB or a context to a
// function of the package which sends SQL with it.
type statement struct {
	call  ssa.CallInstruction
	value ssa.Value // the *gorm.DB or the context that must lead to a tenant
	what  string    // for people, as "Find of Task"
}

// checker looks for statements without a tenant.
type checker struct {
	*index
	renewed  map[*ssa.Parameter]bool // the *gorm.DB parameters on which WithContext is called
	passedOn map[*ssa.Parameter]bool // the parameters whose callers have been looked at
	work     []statement
	findings []analysis.Diagnostic
}

func checkStatements(ix *index) []analysis.Diagnostic {
	c := &checker{index: ix, renewed: map[*ssa.Parameter]bool{}, passedOn: map[*ssa.Parameter]bool{}}
	ix.eachInstruction(c.collect)
	for len(c.work) > 0 {
		s := c.work[0]
		c.work = c.work[1:]
		c.judge(s)
	}
	return c.findings
}

// collect takes in what one instruction tells.
func (c *checker) collect(instr ssa.Instruction) {
	call, ok := instr.(ssa.CallInstruction)
	if !ok || c.meantToPanic(call.Parent()) {
		return
	}
	fn := callee(call)
	switch {
	case isMethod(fn, gormPath, "DB"):
		c.collectGorm(call, fn.Name())
	case isMethod(fn, gormPath, "Association") && associationMethods[fn.Name()]:
		c.add(call, call.Common().Args[0], fn.Name())
	case call.Common().IsInvoke() && fn.Pkg() != nil && fn.Pkg().Path() == gormPath:
		c.collectGeneric(call, fn.Name())
	case isMethod(fn, "database/sql", "DB") && sqlMethods[fn.Name()]:
		c.collectSQL(call, fn.Name())
	}
}

// meantToPanic reports whether fn is, or is inside, a function that is handed to an assertion that it panics.
func (c *checker) meantToPanic(fn *ssa.Function) bool {
	for ; fn != nil; fn = fn.Parent() {
		for _, call := range c.passed[fn] {
			if f := callee(call); f != nil && strings.HasPrefix(f.Name(), "Panics") {
				return true
			}
		}
	}
	return false
}

func (c *checker) collectGorm(call ssa.CallInstruction, method string) {
	args := call.Common().Args
	if method == "WithContext" {
		sources, _ := c.trace(args[0])
		for _, s := range sources {
			if s.kind == parameter && isDB(s.param.Type()) {
				c.renewed[s.param] = true
			}
		}
	}
	for _, arg := range args[1:] {
		for _, sub := range variadic(arg) {
			if isDB(sub.Type()) {
				c.add(call, sub, "subquery")
			}
			c.checkGenericSubquery(call, sub)
		}
	}
	if statementMethods[method] {
		c.add(call, args[0], method)
	}
}

// add notes a statement by a *gorm.DB if what is known of it says that it needs a tenant.
func (c *checker) add(call ssa.CallInstruction, db ssa.Value, method string) {
	_, about := c.trace(db)
	if method != "subquery" {
		about.note(method, call.Common().Args[1:])
	}
	if name := about.name(); name != "" {
		c.work = append(c.work, statement{call, db, method + " of " + name})
	}
}

// collectGeneric notes a statement of gorm.G[T], whose first argument is the context.
func (c *checker) collectGeneric(call ssa.CallInstruction, method string) {
	common := call.Common()
	for _, arg := range common.Args {
		for _, sub := range variadic(arg) {
			c.checkGenericSubquery(call, sub)
		}
	}
	if len(common.Args) == 0 || !isContext(common.Args[0].Type()) {
		return
	}
	var about topic
	about.note(method, common.Args[1:])
	for v := common.Value; v != nil; {
		about.models = append(about.models, typeArguments(v.Type())...)
		before, ok := v.(*ssa.Call)
		if !ok || !before.Call.IsInvoke() {
			break
		}
		about.note(before.Call.Method.Name(), before.Call.Args)
		v = before.Call.Value
	}
	if name := about.name(); name != "" {
		c.work = append(c.work, statement{call, common.Args[0], method + " of " + name})
	}
}

// checkGenericSubquery reports a gorm.G as a subquery: GORM builds it without the context of the query around it.
func (c *checker) checkGenericSubquery(call ssa.CallInstruction, sub ssa.Value) {
	if !isGeneric(sub.Type()) {
		return
	}
	about := topic{models: typeArguments(sub.Type())}
	if name := about.name(); name != "" {
		c.report(call.Pos(), "gorm.G of %s as a subquery gets no context, and so no tenant: build it with db.WithContext(ctx).Model(&%[1]s{})", name)
	}
}

// collectSQL notes a statement on the registry's *sql.DB.
func (c *checker) collectSQL(call ssa.CallInstruction, method string) {
	args := call.Common().Args
	sources, _ := c.trace(args[0])
	if !all(sources, bare) {
		return
	}
	if len(args) > 1 && isContext(args[1].Type()) {
		c.work = append(c.work, statement{call, args[1], method + " on the registry's *sql.DB"})
		return
	}
	c.report(call.Pos(), "%s on the registry's *sql.DB takes no context, and so no tenant: call %s", method, withContext(method))
}

// withContext returns the method of *sql.DB that does the same with a context.
func withContext(method string) string {
	if method == "Begin" {
		return "BeginTx"
	}
	return method + "Context"
}

// judge reports a statement whose sources all are without a tenant. If some are parameters, it is up to the
// callers, who are looked at in their turn.
func (c *checker) judge(s statement) {
	sources, _ := c.trace(s.value)
	goroutine := c.dropsContext(s, sources)
	switch {
	case all(sources, bare, background) || goroutine:
		c.reportStatement(s, sources)
	case all(sources, bare, background, parameter):
		for _, src := range sources {
			c.passOn(s, src.param)
		}
	}
}

// passOn adds the calls that hand p its value.
func (c *checker) passOn(s statement, p *ssa.Parameter) {
	if p == nil || c.passedOn[p] {
		return
	}
	c.passedOn[p] = true
	for _, call := range c.calls[origin(p.Parent())] {
		if !c.meantToPanic(call.Parent()) {
			c.work = append(c.work, statement{call, argument(call, p), s.what + " in " + p.Parent().Name()})
		}
	}
}

// dropsContext reports whether a statement is in a goroutine and by a *gorm.DB that the function around the
// goroutine uses with its context.
func (c *checker) dropsContext(s statement, sources []source) bool {
	for _, src := range sources {
		if src.kind != parameter || !c.renewed[src.param] || !c.inGoroutine(s.call, src.param.Parent()) {
			return false
		}
	}
	return len(sources) > 0
}

// inGoroutine reports whether a go statement stands between an instruction and the function around it.
func (c *checker) inGoroutine(instr ssa.CallInstruction, around *ssa.Function) bool {
	if _, ok := instr.(*ssa.Go); ok {
		return true
	}
	for fn := instr.Parent(); fn != nil && fn != around; fn = fn.Parent() {
		if c.launched[fn] {
			return true
		}
	}
	return false
}

func (c *checker) reportStatement(s statement, sources []source) {
	prefix := ""
	if c.inGoroutine(s.call, nil) {
		prefix = "the goroutine drops the tenant's context: "
	}
	for _, src := range sources {
		if src.kind == background {
			pos := src.pos
			if !pos.IsValid() {
				pos = s.call.Pos()
			}
			c.report(pos, "%s%s carries no tenant, which %s needs: pass the caller's context, or one of scopes.WithTenant or scopes.AllTenants",
				prefix, src.name, s.what)
			return
		}
	}
	name := "the *gorm.DB of the function around it"
	if sources[0].kind == bare {
		name = sources[0].name
	}
	c.report(s.call.Pos(), "%s%s by %s, which has no context: call WithContext with the tenant's context first", prefix, s.what, name)
}

func (c *checker) report(pos token.Pos, format string, args ...any) {
	c.findings = append(c.findings, analysis.Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// all reports whether there are sources, and all are of these kinds.
func all(sources []source, kinds ...kind) bool {
	for _, s := range sources {
		if !slices.Contains(kinds, s.kind) {
			return false
		}
	}
	return len(sources) > 0
}
