package scopestest

import "slices"

// Attack is a way of reading or changing another tenant's rows.
type Attack struct {
	// Name is stable: "group/what-is-done".
	Name string
	// Limit says why no layer can stop the attack. Empty for all others.
	Limit string

	run func(*attackRun) error
}

// Attacks returns all attacks, in the order in which they are made.
func Attacks() []Attack {
	return slices.Concat(contextAttacks, readAttacks, tableAttacks, rawAttacks, writeAttacks, createAttacks, relationAttacks)
}
