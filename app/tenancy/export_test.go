package tenancy

import "time"

// ScramVerifier is exported for tests.
var ScramVerifier = scramVerifier

// The times for which the directory remembers, for tests.
const (
	KnownFor   = knownFor
	UnknownFor = unknownFor
)

// SetClock replaces the directory's clock.
func (d *Directory) SetClock(now func() time.Time) { d.now = now }

// Forget is what the directory does when it hears of a change.
func (d *Directory) Forget() { d.forget() }
