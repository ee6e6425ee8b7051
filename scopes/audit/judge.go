package audit

// finding is what a judge found. What it leaves empty comes from the table it was found on, and from its rule.
type finding struct {
	schema  string
	object  string
	message string
	fix     string
	note    bool   // worth knowing, no defect
	unsafe  bool   // not to be mended unseen, though the rule is
	allow   string // the name by which the configuration may allow it
}

// one returns a defect of the table at hand.
func one(message, fix string) []finding { return []finding{{message: message, fix: fix}} }

// databaseRules are judged once. What they find may still lie in one placement.
var databaseRules = []struct {
	id    string
	judge func(*state) []finding
}{
	{"runtime-missing", judgeRuntimeMissing},
	{"runtime-superuser", attribute("superuser", func(r *role) bool { return r.Superuser })},
	{"runtime-bypassrls", attribute("bypassrls", func(r *role) bool { return r.BypassRLS })},
	{"runtime-createrole", attribute("createrole", func(r *role) bool { return r.CreateRole })},
	{"runtime-replication", attribute("replication", func(r *role) bool { return r.Replication })},
	{"runtime-createdb", attribute("createdb", func(r *role) bool { return r.CreateDB })},
	{"runtime-member", judgeMember},
	{"runtime-reads-all", judgeReadsAll},
	{"runtime-owner", judgeOwner},
	{"runtime-owns", judgeOwned},
	{"session-tenant", judgeSessionTenant},
	{"session-row-security", judgeRowSecurity},
	{"session-role", judgeSessionRole},
	{"session-replication", judgeReplicationRole},
	{"session-search-path", judgeSearchPath},
	{"grant-private", judgePrivate},
	{"grant-create", judgeCreate(false)},
	{"grant-create-public", judgeCreate(true)},
	{"grant-database", judgeCreateSchema},
	{"grant-temporary", judgeTemporary},
	{"grant-parameter", judgeParameters},
	{"grant-default", judgeDefaults},
	{"schema-missing", judgeSchemas},
	{"table-missing", judgeTables},
	{"column-missing", judgeColumns},
	{"model-untenanted", judgeUntenanted},
	{"unknown-table", judgeUnknown},
	{"view-definer", judgeViews},
	{"matview", judgeMaterialised},
	{"rewrite-rule", judgeRules},
	{"foreign-table", judgeForeign},
	{"function-definer", judgeDefiners},
	{"trigger-definer", judgeTriggers},
	{"function-tenant", judgeFunctionTenant},
	{"function-leakproof", judgeLeakproof},
	{"publication", judgePublications},
}

// tableRules are judged for each tenanted table in each placement. A mend may need those before it.
var tableRules = []struct {
	id    string
	judge func(*state, *table) []finding
}{
	{"grant-missing", judgeGrantMissing},
	{"grant-excess", judgeExcess},
	{"grant-option", judgeGrantOption},
	{"grant-public", judgePublic},
	{"grant-sequence", judgeSequences},
	{"table-kind", judgeKind},
	{"model-ambiguous", judgeAmbiguous},
	{"tenant-column-type", judgeTenantType},
	{"tenant-column-null", judgeTenantNull},
	{"tenant-column-default", judgeTenantDefault},
	{"rls-disabled", judgeRLS},
	{"policy-missing", judgePolicyMissing},
	{"policy-drift", judgePolicyDrift},
	{"policy-extra", judgePolicyExtra},
	{"policy-other", judgePolicyOther},
	{"rls-forced", judgeForced},
	{"partition-open", judgePartitions},
	{"pk-tenant", judgePrimaryKey},
	{"unique-tenant", judgeUnique},
	{"fk-tenant", judgeForeignKeys},
	{"fk-action", judgeActions},
	{"fk-missing", judgeRelations},
	{"fk-unenforced", judgeEnforced},
	{"index-tenant", judgeIndex},
	{"plan-index", judgePlan},
	{"inheritance-parent", judgeParents},
}

// judge judges the wanted rules. A rule that found nothing is reported too: a check that was not made must not
// look like one that passed.
func (s *state) judge(want func(*Rule) bool) Report {
	r := Report{Database: s.server.database, Runtime: s.cfg.Runtime, Schemas: s.schemas}
	for _, rule := range databaseRules {
		if about := ruleOf(rule.id); want(about) {
			place := finding{object: "database " + s.server.database}
			r.Checks = append(r.Checks, s.checks(about, place, rule.judge(s))...)
		}
	}
	for _, t := range s.tables {
		for _, rule := range tableRules {
			if about := ruleOf(rule.id); want(about) && (t.holdsRows() || rule.id == "table-kind") {
				place := finding{schema: t.Schema, object: t.object()}
				r.Checks = append(r.Checks, s.checks(about, place, rule.judge(s, t))...)
			}
		}
	}
	return r
}

// checks makes the findings of one rule into checks.
func (s *state) checks(about *Rule, place finding, found []finding) []Check {
	var list []Check
	for _, f := range found {
		if f.object == "" {
			f.object = place.object
		}
		if f.schema == "" {
			f.schema = place.schema
		}
		c := Check{
			ID: about.ID, Layer: about.Layer, Schema: f.schema, Object: f.object, Status: Defect, Message: f.message,
			Risk: about.Risk, Fix: f.fix, SafeToFix: about.Safe && !f.unsafe,
		}
		if f.allow != "" && matches(s.cfg.Allow, f.allow) {
			f.note = true
			c.Message += " (allowed by the configuration)"
		}
		if f.note {
			c.Status, c.SafeToFix = Note, false
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		list = append(list, Check{
			ID: about.ID, Layer: about.Layer, Schema: place.schema, Object: place.object, Status: OK, Message: about.Holds,
		})
	}
	return list
}
