package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"tenanted/app/tenancy"
	"tenanted/models"
	"tenanted/scopes"
)

type execOptions struct {
	tenants []string
	all     bool
	file    string
	format  string
	timeout time.Duration
	tenancy.Exec
}

func newTenantsExec(p *program) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use:   "exec [SQL]",
		Short: "Execute a statement for some tenants or all",
		Long: `Executes one SQL statement, from the argument or a file (- for the standard input), for each tenant, as the runtime role
and under row-level security: it sees that tenant's rows alone, wherever they are. Each tenant has a transaction of its own,
which may only read unless --write is given; several statements go into a DO block. Suspended tenants are included. A tenant
that fails does not keep the others from being done; the exit code is 1 then.`,
		Example: `  PROGRAM tenants exec --all 'select count(*) from subtasks where not complete'
  PROGRAM tenants exec --tenant acme --tenant bolt --write 'update subtasks set complete = true where id = 7'
  PROGRAM tenants exec --all --format json --file report.sql`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(p, args); err != nil {
				return err
			}
			return p.with(cmd.Context(), func(s *server) error { return p.exec(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringArrayVar(&o.tenants, "tenant", nil, "a tenant, by slug or id; may be repeated")
	cmd.Flags().BoolVar(&o.all, "all", false, "all tenants")
	cmd.Flags().StringVar(&o.file, "file", "", "a file with the statement; - for the standard input")
	cmd.Flags().BoolVar(&o.Write, "write", false, "let the statement change data")
	cmd.Flags().IntVar(&o.Jobs, "jobs", 4, "how many tenants at a time")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "how long the statement may run for each tenant")
	addFormat(cmd, &o.format)
	return cmd
}

func (o *execOptions) check(p *program, args []string) error {
	switch {
	case o.all == (len(o.tenants) > 0):
		return usage("name the tenants: --tenant, which may be repeated, or --all")
	case len(args) > 1, (len(args) == 1) == (o.file != ""):
		return usage("give one statement, as an argument in quotes or with --file")
	case o.Jobs < 1:
		return usage("--jobs %d is below one", o.Jobs)
	case o.timeout <= 0:
		return usage("--timeout %v must be above zero", o.timeout)
	}
	if o.SQL = strings.Join(args, ""); o.file != "" {
		text, err := p.readFile(o.file)
		if err != nil {
			return usage("--file: %v", err)
		}
		o.SQL = text
	}
	if strings.TrimSpace(o.SQL) == "" {
		return usage("the statement is empty")
	}
	return knownFormat(o.format)
}

func (p *program) readFile(name string) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(p.In)
		return string(text), err
	}
	text, err := os.ReadFile(p.path(name))
	return string(text), err
}

func (p *program) exec(ctx context.Context, s *server, o execOptions) error {
	if err := p.prepare(ctx, s); err != nil {
		return err
	}
	s.cfg.StatementTimeout, s.cfg.LockTimeout = o.timeout, min(o.timeout, s.cfg.LockTimeout)
	s.cfg.MaxConns = max(o.Jobs, 2)
	app, err := tenancy.Open(ctx, s.cfg, p.logger("text"))
	if err != nil {
		return err
	}
	defer app.Close()
	return p.withCreatorOn(ctx, s, func(c *tenancy.Creator) error {
		tenants, err := p.chosen(ctx, c, app.Directory, o)
		if err != nil {
			return err
		}
		var record func(context.Context, func() error) error
		if o.Write {
			record = func(ctx context.Context, work func() error) error {
				return c.Record(ctx, "exec", scopes.MustFromContext(ctx), short(o.SQL), work)
			}
		}
		return p.writeResults(app.Exec(ctx, tenants, o.Exec, record), o.format)
	})
}

// short shortens a statement for the audit log.
func short(sql string) string {
	const most = 1000
	sql = strings.Join(strings.Fields(sql), " ")
	for len(sql) > most || !utf8.ValidString(sql) {
		sql = sql[:min(most, len(sql)-1)]
	}
	return sql
}

// chosen returns the tenants that the options name, each once, without those that are not complete.
func (p *program) chosen(ctx context.Context, c *tenancy.Creator, directory *tenancy.Directory, o execOptions) (tenants []scopes.Tenant, err error) {
	var entries []tenancy.Entry
	if o.all {
		if entries, err = directory.List(ctx, tenancy.ByID, 0); err != nil {
			return nil, err
		}
	}
	for _, name := range o.tenants {
		entry, err := c.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	for _, entry := range entries {
		known := slices.ContainsFunc(tenants, func(t scopes.Tenant) bool { return t.ID == entry.ID })
		switch served := entry.State == tenancy.StateActive || entry.State == tenancy.StateSuspended; {
		case !served:
			fmt.Fprintf(p.Err, "left out: tenant %s is in state %q\n", entry.Slug, entry.State)
		case !known:
			tenants = append(tenants, entry.Tenant)
		}
	}
	return tenants, nil
}

func (p *program) writeResults(results []tenancy.ExecResult, format string) error {
	failed := 0
	for _, r := range results {
		if r.Err != nil {
			failed++
			fmt.Fprintf(p.Err, "%s: %s\n", r.Tenant.Slug, strings.ReplaceAll(r.Err.Error(), "\n", "; "))
		}
	}
	write := writeResultTable
	if format == formatJSON {
		write = writeResultJSON
	}
	if err := write(p.Out, results); err != nil || failed == 0 {
		return err
	}
	return fmt.Errorf("the statement failed for %d of %d tenants", failed, len(results))
}

func writeResultTable(w io.Writer, results []tenancy.ExecResult) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := ""
	for _, r := range results {
		if r.Err != nil {
			continue
		}
		columns, rows := r.Columns, r.Rows
		if len(columns) == 0 {
			columns, rows = []string{"rows"}, [][]any{{r.Affected}}
		}
		if now := "TENANT\t" + strings.ToUpper(strings.Join(columns, "\t")); now != head {
			head = now
			fmt.Fprintln(table, head)
		}
		for _, row := range rows {
			fmt.Fprint(table, r.Tenant.Slug)
			for _, value := range row {
				fmt.Fprint(table, "\t", strings.Map(printable, text(value)))
			}
			fmt.Fprintln(table)
		}
	}
	return table.Flush()
}

// printable replaces characters that would break a table.
func printable(r rune) rune {
	if r == '\n' || r == '\t' || r == '\r' {
		return ' '
	}
	return r
}

// text formats a value for a table.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case []byte:
		return string(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// executed is one tenant's result as JSON.
type executed struct {
	ID       int64            `json:"id"`
	Slug     string           `json:"slug"`
	Rows     []map[string]any `json:"rows"`
	Affected *int64           `json:"affected,omitempty"`
	Error    string           `json:"error,omitempty"`
}

func writeResultJSON(w io.Writer, results []tenancy.ExecResult) error {
	list := make([]executed, len(results))
	for i, r := range results {
		list[i] = executed{ID: int64(models.AccountID(r.Tenant)), Slug: r.Tenant.Slug, Rows: []map[string]any{}}
		if r.Err != nil {
			list[i].Error = r.Err.Error()
			continue
		}
		if len(r.Columns) == 0 {
			list[i].Affected = &r.Affected
		}
		for _, values := range r.Rows {
			list[i].Rows = append(list[i].Rows, byColumn(r.Columns, values))
		}
	}
	return writeJSON(w, list)
}

// byColumn returns a row's values by column name. If several columns have the same name, the later ones get a number.
func byColumn(columns []string, values []any) map[string]any {
	row := map[string]any{}
	for i, column := range columns {
		name := column
		for n := 2; ; n++ {
			if _, taken := row[name]; !taken {
				break
			}
			name = fmt.Sprintf("%s_%d", column, n)
		}
		if b, isBytes := values[i].([]byte); isBytes {
			values[i] = string(b)
		}
		row[name] = values[i]
	}
	return row
}
