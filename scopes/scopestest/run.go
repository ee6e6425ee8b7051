package scopestest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
)

// attackTime bounds one attack. A pool that hangs is a failure too.
const attackTime = 20 * time.Second

// Run makes every attack with all layers on, and fails the test for each that succeeds or leaves something behind in the pool or on
// the server.
func Run(t *testing.T, s Subject, target Target) {
	t.Helper()
	failEach(t, run(t, s, target, allOn))
	works(t, s, target)
}

// works fails the test unless both tenants can do their own work: a database in which nobody sees anything stops all attacks too.
func works(t *testing.T, s Subject, target Target) {
	t.Helper()
	subject, err := s.parse()
	require.NoError(t, err)
	o := openTarget(t, target, subject.models(), allOn)
	made, err := newJudge(t, target, subject).reset(t.Context())
	require.NoError(t, err)
	for _, own := range made.rows {
		x := &attackRun{subject: subject, db: o.db, a: own, b: own, ctx: t.Context()}
		require.NoError(t, x.attacker().Transaction(x.work), "%v in a transaction", own.tenant)
		require.NoError(t, x.work(x.attacker()), "%v", own.tenant)
	}
}

// work is a tenant's own work: it reads all of its rows, changes one, and adds and deletes another.
func (x *attackRun) work(db *gorm.DB) error {
	found := x.child.many()
	read := db.Preload(x.HasMany).Find(x.parent.many())
	joined := db.Joins(x.BelongsTo).Find(found)
	changed := db.Model(x.own()).Updates(x.set())
	added := x.fresh()
	created := db.Create(added)
	deleted := db.Delete(added)
	for _, done := range []*gorm.DB{read, joined, changed, created, deleted} {
		if done.Error != nil {
			return done.Error
		}
	}
	if joined.RowsAffected != perTable*perTable || changed.RowsAffected != 1 || deleted.RowsAffected != 1 {
		return fmt.Errorf("saw %d rows of its %d, changed %d and deleted %d of 1",
			joined.RowsAffected, perTable*perTable, changed.RowsAffected, deleted.RowsAffected)
	}
	return nil
}

// failEach fails the test for each attack that succeeded and that could have been stopped.
func failEach(t *testing.T, outcomes []Outcome) {
	t.Helper()
	for _, o := range outcomes {
		if o.Harm != "" && o.Attack.Limit == "" {
			t.Errorf("%s: %s (it ended with: %v)", o.Attack.Name, o.Harm, o.Err)
		}
	}
}

// Outcome is the result of one attack.
type Outcome struct {
	Attack Attack // the attack
	// Harm says how the attack succeeded. Empty: it was stopped.
	Harm string
	// End is how the attacker's code ended: "panic", "error" or "no rows".
	End string
	// Err is the error or panic that the attacker's code got.
	Err error

	leaked    bool // the pool is damaged and cannot be used any more
	unchanged bool // both tenants' rows are as before
}

// run makes all attacks that are possible with the layers that are on.
func run(t *testing.T, s Subject, target Target, on layers) (outcomes []Outcome) {
	t.Helper()
	subject, err := s.parse()
	require.NoError(t, err)
	j := newJudge(t, target, subject)
	o := openTarget(t, target, subject.models(), on)
	var before state
	for fresh, i := false, 0; i < len(Attacks()); i++ {
		if !fresh {
			before, err = j.reset(t.Context())
			require.NoError(t, err)
		}
		outcome, err := attempt(t.Context(), j, o, before, Attacks()[i])
		if fresh = outcome.unchanged; errors.Is(err, errNotMade) {
			continue
		}
		require.NoError(t, err, outcome.Attack.Name)
		outcomes = append(outcomes, outcome)
		if outcome.leaked {
			o = openTarget(t, target, subject.models(), on)
		}
	}
	return outcomes
}

// attempt makes one attack and judges it.
func attempt(ctx context.Context, j *judge, o *opened, before state, attack Attack) (outcome Outcome, err error) {
	outcome.Attack = attack
	attackCtx, cancel := context.WithTimeout(ctx, attackTime)
	defer cancel()
	x := &attackRun{subject: j.subject, db: o.db, a: before.rows[0], b: before.rows[1], ctx: attackCtx}
	ended := x.make(attack)
	if errors.Is(ended, errNotMade) {
		return outcome, ended
	}
	if attackCtx.Err() != nil {
		return outcome, fmt.Errorf("the attack hung: %w", ended)
	}
	outcome.End = ending(ended)
	outcome.Err = ended
	if outcome.Harm, outcome.unchanged, err = j.harm(ctx, before, x); err != nil {
		return outcome, err
	}
	if left, err := j.leaks(ctx, o); left != "" || err != nil {
		outcome.Harm, outcome.leaked = left, true
		return outcome, err
	}
	return outcome, nil
}

// make makes the attack; a panic is returned as an error.
func (x *attackRun) make(attack Attack) (err error) {
	defer func() {
		if panicked := recovered(recover()); panicked != nil {
			x.saw(panicked)
			err = panicked
		}
	}()
	return attack.run(x)
}

func ending(err error) string {
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		return "panic"
	case err != nil:
		return "error"
	default:
		return "no rows"
	}
}
