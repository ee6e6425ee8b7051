package talk

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// policyForms are three policies that mean the same.
func policyForms() []policyForm {
	return []policyForm{
		// A bare equality, which an index answers.
		{"equality", "account_id = nullif(current_setting('app.tenant_id', true), '')::bigint"},
		// Everybody's rows where no tenant is set: the planner can rule neither side out.
		{"or", "nullif(current_setting('app.tenant_id', true), '') is null or account_id = nullif(current_setting('app.tenant_id', true), '')::bigint"},
		// The same question as a CASE, which is a black box to the planner.
		{"case", "case when nullif(current_setting('app.tenant_id', true), '') is null then false else account_id = current_setting('app.tenant_id', true)::bigint end"},
	}
}

type policyForm struct{ name, using string }

func (f policyForm) table() string { return "policy_" + f.name }

// policyRows is how many rows each of the tables has, of a thousand tenants.
const policyRows = 100_000

// makePolicies makes a table of many rows for each form of the policy.
func (l *Lab) makePolicies(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, l.as(l.server.Owner, l.server.Database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, f := range policyForms() {
		sql := strings.NewReplacer("$table", f.table(), "$using", f.using, "$rows", strconv.Itoa(policyRows),
			"$runtime", pgx.Identifier{l.server.Runtime.User}.Sanitize()).Replace(`
			drop table if exists $table;
			create table $table (account_id bigint, id bigint, name text);
			insert into $table select 1 + i % 1000, i, 'subtask ' || i from generate_series(1, $rows) i;
			alter table $table add primary key (account_id, id), enable row level security;
			create policy tenant on $table using ($using);
			grant select on $table to $runtime;
			analyze $table`)
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

var executionTime = regexp.MustCompile(`Execution Time: ([\d.]+) ms`)

// explainAs returns the plan of the tenant's hundred rows, and the milliseconds it took.
func explainAs(ctx context.Context, conn *pgx.Conn, tenant, table string) (plan string, milliseconds float64, err error) {
	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('app.tenant_id', $1, true)", tenant)
	batch.Queue("EXPLAIN (ANALYZE, COSTS off) SELECT * FROM " + table).Query(func(rows pgx.Rows) error {
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return "", 0, err
	}
	milliseconds, err = strconv.ParseFloat(executionTime.FindStringSubmatch(plan)[1], 64)
	return plan, milliseconds, err
}

var threePolicies = Experiment{
	Name: "three-policies", Title: "One policy, written three ways", code: []any{policyForms, explainAs},
	Claim: "At a hundred thousand rows a policy that is a bare equality uses the index; with an OR or a CASE every statement reads the whole table.",
	run: func(ctx context.Context, t *trial) error {
		if err := t.lab.policies.do(func() error { return t.lab.makePolicies(ctx) }); err != nil {
			return err
		}
		conn, err := t.connect(ctx, t.lab.as(t.lab.server.Runtime, t.lab.server.Database))
		if err != nil {
			return err
		}
		t.begin()
		took := map[string]float64{}
		for _, f := range policyForms() {
			plan, milliseconds, err := fastest(ctx, conn, f.table())
			if err != nil {
				return err
			}
			took[f.name] = milliseconds
			t.answer(fmt.Sprintf("%s: %.2f ms", f.name, milliseconds), "%s", plan)
			t.expect((f.name == "equality") == strings.Contains(plan, "Index Cond"), "the plan of %s: %s", f.name, plan)
		}
		t.end()
		t.expect(took["equality"]*5 < took["or"] && took["equality"]*5 < took["case"], "took %v", took)
		return nil
	},
}

// fastest is the least of some runs, since the machine has other work too.
func fastest(ctx context.Context, conn *pgx.Conn, table string) (plan string, milliseconds float64, err error) {
	milliseconds = math.Inf(1)
	for range 3 {
		p, ms, err := explainAs(ctx, conn, "7", table)
		if err != nil {
			return "", 0, err
		}
		if ms < milliseconds {
			plan, milliseconds = p, ms
		}
	}
	return plan, milliseconds, nil
}
