package scopestest

// For this package's own tests.
var (
	SessionAlone = sessionAlone
	Disarm       = disarmAll
)

// With exports with.
func (t Table) With(others ...Table) Table { return t.with(others...) }
