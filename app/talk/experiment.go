package talk

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Experiment is a claim that can be put to the test.
type Experiment struct {
	Name  string // in addresses
	Title string // of the button that runs it
	Claim string // one sentence, which the run asserts
	// Switches says that it runs with any of the layers off.
	Switches bool

	code []any // functions that run, whose text is shown
	run  func(context.Context, *trial) error
}

// Result is what a run of an experiment showed.
type Result struct {
	Layers  Layers
	Sent    []Statement
	Answers []Answer
	Trips   int64 // round trips to the server
	Took    time.Duration
	Stopped Layer    // Nothing: it was not stopped, or there was nothing to stop
	How     string   // it was stopped: the error, or what came instead
	Untrue  []string // what of the claim does not hold
}

// Answer is one thing that came back.
type Answer struct{ Label, Text string }

// Run runs an experiment with some layers on; one without switches has all.
func (l *Lab) Run(ctx context.Context, e Experiment, on Layers) (Result, error) {
	if !e.Switches {
		on = AllLayers()
	}
	t := &trial{lab: l, on: on, recorder: &Recorder{}, result: Result{Layers: on}}
	defer t.close()
	t.begin()
	if err := e.run(ctx, t); err != nil {
		return Result{}, fmt.Errorf("experiment %s: %w", e.Name, err)
	}
	t.end()
	return t.result, nil
}

// trial is one run.
type trial struct {
	lab      *Lab
	on       Layers
	recorder *Recorder
	result   Result
	began    time.Time
	ended    bool
	cleanups []func()
}

// begin forgets what was sent so far, as for connecting, and starts the clock.
func (t *trial) begin() {
	t.recorder.Reset()
	t.began, t.ended = time.Now(), false
}

// end keeps what was sent since begin. What comes after is not shown.
func (t *trial) end() {
	if t.ended {
		return
	}
	t.ended = true
	t.result.Took = time.Since(t.began)
	t.result.Sent, t.result.Trips = t.recorder.Sent(), t.recorder.Trips()
}

// answer adds to what came back.
func (t *trial) answer(label, format string, args ...any) {
	t.result.Answers = append(t.result.Answers, Answer{label, fmt.Sprintf(format, args...)})
}

// expect asserts a part of the claim.
func (t *trial) expect(holds bool, format string, args ...any) {
	if !holds {
		t.result.Untrue = append(t.result.Untrue, fmt.Sprintf(format, args...))
	}
}

// stopped says which layer stopped it, and how.
func (t *trial) stopped(by Layer, format string, args ...any) {
	t.result.Stopped, t.result.How = by, fmt.Sprintf(format, args...)
}

func (t *trial) cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *trial) close() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// connect opens a watched connection, which ends with the trial.
func (t *trial) connect(ctx context.Context, as *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, t.recorder.Watch(as))
	if err != nil {
		return nil, err
	}
	t.cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	return conn, nil
}
