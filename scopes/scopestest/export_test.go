package scopestest

import "gorm.io/gorm"

// For this package's own tests.
var (
	SessionAlone = sessionAlone
	AttackShared = attackShared
	AllOn        = allOn
	ScopeOnly    = scopeOnly
	RLSOnly      = rlsOnly
)

// LayersOn exports layers.
type LayersOn = layers

// Disarm takes the scope off a subject's models.
func Disarm(db *gorm.DB, s Subject) error {
	subject, err := s.parse()
	if err != nil {
		return err
	}
	return disarmAll(db, subject.models()...)
}

// With exports with.
func (t Table) With(others ...Table) Table { return t.with(others...) }

// AttackSite returns how attacks on a site succeeded.
var AttackSite = attackSite
