package pgtest

import (
	"context"
	"testing"
	"time"
)

// testTime is how long one thing that a test waits for may take.
const testTime = 30 * time.Second

// Context returns the test's context with a deadline, so that a statement that waits for what never comes fails the test
// instead of stopping the whole run.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}
