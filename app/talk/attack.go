package talk

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"tenanted/scopes"
)

// attack is a mistake that could show or change another tenant's rows.
type attack struct {
	name, title, claim string
	code               []any
	raw                bool // the scope's conditions, if there are any, are not about what it reaches for
	make               func(ctx context.Context, w world) (outcome, error)
	stops              func(on Layers) Layer // which layer is to stop it
}

// outcome is what an attack came to when it was not refused.
type outcome struct {
	came   string
	leaked bool
	by     Layer // who stopped it, where that cannot be told from outside
}

// stoppedBy is for attacks that the first of some layers stops that is on.
func stoppedBy(layers ...Layer) func(Layers) Layer {
	return func(on Layers) Layer { return on.first(layers...) }
}

// always is for attacks that no switch matters to.
func always(layer Layer) func(Layers) Layer { return func(Layers) Layer { return layer } }

func (a attack) experiment() Experiment {
	return Experiment{Name: a.name, Title: a.title, Claim: a.claim, Switches: true, code: a.code, run: a.run}
}

func (a attack) run(ctx context.Context, t *trial) error {
	w, err := t.open(ctx)
	if err != nil {
		return err
	}
	// Once before the clock starts, so that what is sent is prepared.
	_, _, _ = guarded(func() (outcome, error) { return a.make(scopes.WithTenant(ctx, w.a), w) })
	t.begin()
	out, panicked, err := guarded(func() (outcome, error) { return a.make(scopes.WithTenant(ctx, w.a), w) })
	t.end()
	if errors.Is(err, scopes.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	by := a.judge(out, err, t.result.Sent)
	if by == Nothing && err != nil {
		return fmt.Errorf("nobody knows which layer this is of: %w", err)
	}
	t.tell(w, out, panicked, err, by)
	want := a.stops(t.on)
	t.expect(by == want, "with %s it is stopped by %s, and was to be stopped by %s", t.on, named(by), named(want))
	return nil
}

func named(l Layer) string {
	if l == Nothing {
		return "nothing"
	}
	return string(l)
}

// tell writes down what became of the attack.
func (t *trial) tell(w world, out outcome, panicked bool, err error, by Layer) {
	switch {
	case panicked:
		t.answer("panic", "%v", err)
		t.stopped(by, "panic: %v", err)
	case err != nil:
		t.answer("error", "%v", err)
		t.stopped(by, "%v", err)
	default:
		t.answer("came back", "%s", out.came)
		t.stopped(by, "%s", out.came)
	}
}

// guarded calls f, and returns a panic as its error.
func guarded(f func() (outcome, error)) (out outcome, panicked bool, err error) {
	defer func() {
		if value := recover(); value != nil {
			panicked = true
			if err, _ = value.(error); err == nil {
				err = fmt.Errorf("%v", value)
			}
		}
	}()
	out, err = f()
	return out, false, err
}

// judge says which layer stopped an attack.
func (a attack) judge(out outcome, err error, sent []Statement) Layer {
	switch {
	case err != nil:
		return layerOf(err, sent)
	case out.leaked:
		return Nothing
	case out.by != Nothing:
		return out.by
	}
	for _, s := range sent {
		if s.confined() && !a.raw {
			return Scope
		}
	}
	return RLS
}

// layerOf says which layer an error is of.
func layerOf(err error, sent []Statement) Layer {
	if missing, ok := errors.AsType[*scopes.TenantMissingError](err); ok && missing.Operation == "" {
		return Session // which knows no operations
	}
	for _, scope := range []error{scopes.ErrTenantChange, gorm.ErrMissingWhereClause} {
		if errors.Is(err, scope) {
			return Scope
		}
	}
	if errors.As(err, new(*scopes.TenantMissingError)) || errors.As(err, new(*scopes.TenantMismatchError)) {
		return Scope
	}
	if errors.Is(err, gorm.ErrRecordNotFound) {
		for _, s := range sent {
			if s.confined() {
				return Scope
			}
		}
		return RLS
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return Session // refused before it was sent
	}
	return layerOfCode(pgErr)
}

func layerOfCode(err *pgconn.PgError) Layer {
	switch err.Code {
	case "23503", "23505":
		return Keys
	case "42601":
		return Protocol
	case "42501":
		if err.Routine == "ExecWithCheckOptions" {
			return RLS
		}
		return Role
	}
	return Nothing
}

// errInVain ends a transaction that is to change nothing.
var errInVain = errors.New("in vain")

// inVain runs f in a transaction that is rolled back.
func inVain(ctx context.Context, db *gorm.DB, f func(tx *gorm.DB) error) error {
	err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if err := f(tx); err != nil {
			return err
		}
		return errInVain
	})
	if errors.Is(err, errInVain) {
		return nil
	}
	return err
}
