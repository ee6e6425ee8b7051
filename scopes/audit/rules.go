package audit

import "slices"

// Layer is what a rule belongs to.
type Layer string

// The layers, in the order of a report.
const (
	LayerRole    Layer = "runtime role"
	LayerSession Layer = "session defaults"
	LayerGrants  Layer = "grants"
	LayerTables  Layer = "tables and models"
	LayerRLS     Layer = "row-level security"
	LayerKeys    Layer = "keys"
	LayerPlan    Layer = "query plan"
	LayerBypass  Layer = "ways around"
	LayerCitus   Layer = "Citus" // judged where the database has the extension
)

// Rule is a condition that must hold, with what it reads from the catalogs and how it is judged.
type Rule struct {
	ID    string // stable, such as "policy-drift"
	Layer Layer  // what it belongs to
	Holds string // what is true if the rule holds
	Risk  string // what could happen if it does not
	// Safe says that the SQL that fixes it can be applied without review: it only removes what no correct program needs,
	// does not depend on the rows, and holds its locks only briefly. New keys and indexes, ownership, roles and views do not
	// qualify: they fail on existing rows, lock for a long time, or break another program.
	Safe bool

	startup  bool                           // whether [Startup] judges it
	reads    []part                         // what it needs in addition to roles and relations
	database func(*state) []finding         // judged once; a finding may still be about one placement
	table    func(*state, *table) []finding // or judged for each tenanted table in each placement
}

// Rules returns every rule of an audit, in the order of a report.
func Rules() []Rule { return slices.Clone(catalogue) }

func startupRules() []Rule {
	return slices.DeleteFunc(Rules(), func(r Rule) bool { return !r.startup })
}

// catalogue is the list of rules, in the order in which their fixes can be applied: the new key exists before the foreign key
// that needs it and before the old one is dropped, and a policy before row-level security is enabled.
var catalogue = slices.Concat(roleRules, sessionRules, grantRules, tableRules, tenantColumnRules, keyRules, policyRules, defaultRules,
	planRules, bypassRules, citusRules)
