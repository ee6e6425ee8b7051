package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tenanted/scopes/citus"
)

// plan is the result of EXPLAIN for reading a whole table as the runtime role.
type plan struct {
	unseen    string   // why there is no plan
	unindexed []string // relations that are read without the tenant as an index condition
	scattered string   // the statement that reaches more than one shard of a Citus cluster
}

// node is a part of EXPLAIN (FORMAT JSON).
type node struct {
	Relation  string `json:"Relation Name"`
	Condition string `json:"Index Cond"`
	Plans     []node

	Distributed *job `json:"Distributed Query"` // on a Citus cluster
}

// readPlans explains, as the runtime role, a read of each table with no condition but the policy's. If that is not possible, the plan
// says why.
func (s *state) readPlans(ctx context.Context, tx pgx.Tx) error {
	s.plans = map[uint32]plan{}
	nested, err := tx.Begin(ctx) // so that the role and the settings are reset afterwards
	if err != nil {
		return fmt.Errorf("read plans: %w", err)
	}
	defer nested.Rollback(ctx)
	unseen, err := s.become(ctx, nested)
	if err != nil {
		return err
	}
	for _, t := range s.tables {
		p := plan{unseen: unseen}
		switch {
		case s.runtimeBypasses(t) || !t.RLS:
			p.unseen = "row-level security is not in force here"
		case !t.holdsRows() || !s.mayRead(t):
			p.unseen = "the runtime role may not read it"
		case unseen == "":
			p = s.explain(ctx, nested, t)
		}
		s.plans[t.OID] = p
	}
	return ctx.Err()
}

// become switches the transaction to the runtime role and makes the planner prefer an index wherever it can use one. If that fails,
// it returns why.
func (s *state) become(ctx context.Context, tx pgx.Tx) (unseen string, err error) {
	if s.roles.runtime == nil {
		return "there is no runtime role", nil
	}
	if s.server.login != s.cfg.Runtime {
		_, err = tx.Exec(ctx, "set local role "+ident(s.cfg.Runtime))
	}
	if denied := (*pgconn.PgError)(nil); errors.As(err, &denied) && denied.Code == "42501" {
		return "this connection may not become the runtime role", nil
	}
	if err == nil && s.server.citus { // whatever the role's default: what follows is for the workers' planners
		_, err = tx.Exec(ctx, "set local "+citus.Propagation+" = 'local'")
	}
	if err == nil {
		_, err = tx.Exec(ctx, "set local enable_seqscan = off; set local enable_indexscan = on; set local enable_bitmapscan = on; "+
			"set local row_security = on")
	}
	return "", err
}

// explain uses a savepoint, so that the other rules can be judged after an error, such as that of a policy with a function that the
// role may not call.
func (s *state) explain(ctx context.Context, tx pgx.Tx, t *table) plan {
	var explained []struct{ Plan node }
	var scattered string
	c, _ := t.column(t.tenant)
	tenant := somebody[kindOf(c.Type)]
	nested, err := tx.Begin(ctx)
	if err == nil {
		_, err = nested.Exec(ctx, "set local "+quoteSetting(s.cfg.Setting)+" = '"+tenant+"'")
	}
	if err == nil {
		err = nested.QueryRow(ctx, "explain (format json) select * from "+t.sql()).Scan(&explained)
		if err == nil && s.server.citus {
			scattered, err = s.scattered(ctx, nested, t, tenant)
		}
		// Only a rollback gives the locks back. Those of a thousand placements would not fit into the server's lock table.
		err = errors.Join(err, nested.Rollback(ctx))
	}
	if err != nil {
		return plan{unseen: oneLine(err)}
	}
	return plan{unindexed: explained[0].Plan.unindexed(s.conditions(t.relation, t.tenant)), scattered: scattered}
}

// oneLine returns the server's message without details, or the error's text.
func oneLine(err error) string {
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failed.Message
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// unindexed returns the relations that a plan reads without an index condition on the tenant.
func (n node) unindexed(want [2]string) []string {
	if n.Relation != "" {
		if n.indexed(want) {
			return nil
		}
		return []string{n.Relation}
	}
	var list []string
	for _, child := range n.children() {
		list = append(list, child.unindexed(want)...)
	}
	return list
}

// indexed also looks at the nodes below, where a bitmap scan has its index conditions. The column may be prefixed by a table alias.
func (n node) indexed(want [2]string) bool {
	for _, condition := range want {
		if strings.Contains(n.Condition, "("+condition) || strings.Contains(n.Condition, "."+condition) {
			return true
		}
	}
	return slices.ContainsFunc(n.Plans, func(child node) bool { return child.indexed(want) })
}

func judgePlan(s *state, t *table) []finding {
	p := s.plans[t.OID]
	if p.unseen != "" {
		return notChecked(p.unseen)
	}
	if len(p.unindexed) == 0 {
		return nil
	}
	return one("the policy makes no index condition on "+strings.Join(p.unindexed, ", "),
		"-- bring the policy to the expected form (see policy-drift), and have an index that begins with "+t.tenant+" on each")
}
