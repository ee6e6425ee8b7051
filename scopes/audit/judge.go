package audit

import "cmp"

// finding is what a judge found. Empty fields are filled in from the table and the rule.
type finding struct {
	schema  string
	object  string
	message string
	fix     string
	status  Status // Defect if empty
	unsafe  bool   // the fix needs review, although the rule is Safe
	allow   string // the name by which [Config].Allow may allow it
}

// one returns a defect of the table at hand.
func one(message, fix string) []finding { return []finding{{message: message, fix: fix}} }

// judge judges the rules in their order, so that the SQL of a report can be run from top to bottom. A rule without findings is
// reported as ok, and one that had nothing to look at as not checked.
func (s *state) judge(rules []Rule) Report {
	r := Report{Database: s.server.database, Runtime: s.cfg.Runtime, Schemas: s.schemas}
	database := finding{object: "database " + s.server.database}
	for _, rule := range s.applicable(rules) {
		switch {
		case rule.database != nil:
			r.Checks = append(r.Checks, s.checks(rule, database, rule.database(s))...)
		case len(s.tables) == 0 && len(s.schemas) > 0:
			r.Checks = append(r.Checks, s.checks(rule, database, notChecked("no tenanted table was found"))...)
		}
		for _, t := range s.tables {
			if rule.table != nil && (t.holdsRows() || rule.ID == "table-kind") {
				place := finding{schema: t.Schema, object: t.object()}
				r.Checks = append(r.Checks, s.checks(rule, place, rule.table(s, t))...)
			}
		}
	}
	return r
}

// checks turns the findings of one rule into checks.
func (s *state) checks(rule Rule, place finding, found []finding) []Check {
	if len(found) == 0 {
		return []Check{{
			ID: rule.ID, Layer: rule.Layer, Schema: place.schema, Object: place.object, Status: OK, Message: rule.Holds,
		}}
	}
	var list []Check
	for _, f := range found {
		c := Check{
			ID: rule.ID, Layer: rule.Layer, Schema: cmp.Or(f.schema, place.schema), Object: cmp.Or(f.object, place.object),
			Status: cmp.Or(f.status, Defect), Message: f.message, Risk: rule.Risk, Fix: f.fix, SafeToFix: rule.Safe && !f.unsafe,
		}
		if f.allow != "" && c.Status == Defect && matches(s.cfg.Allow, f.allow) {
			c.Status = Note
			c.Message += " (allowed by the configuration)"
		}
		if c.Status != Defect {
			c.SafeToFix = false
		}
		list = append(list, c)
	}
	return list
}

// notChecked says why a rule could not be judged.
func notChecked(why string) []finding { return []finding{{status: NotChecked, message: why}} }
