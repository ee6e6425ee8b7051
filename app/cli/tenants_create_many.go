package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tenanted/app/tenancy"
)

// tenantList is the tenants that one command creates.
type tenantList struct {
	tenancy.Batch
	names []string // each tenant's in messages: "tenants.csv:7: acme"
}

func (l *tenantList) add(name string, n tenancy.NewTenant) {
	n.Name = cmp.Or(n.Name, n.Slug)
	l.Tenants, l.names = append(l.Tenants, n), append(l.names, name)
}

// maxRefused bounds how many errors are shown.
const maxRefused = 20

// refusals joins the errors of the tenants, with a line for each. It returns nil if there are none.
func (l tenantList) refusals(errs []error) error {
	var lines []string
	for i, err := range errs {
		if err != nil {
			lines = append(lines, fmt.Sprintf("%s: %s", l.names[i], oneLine(err)))
		}
	}
	return joinLines(lines)
}

func joinLines(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	if more := len(lines) - maxRefused; more > 0 {
		lines = append(lines[:maxRefused], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(lines, "\n"))
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// numbered returns the tenants of --count.
func (o createOptions) numbered(slug string) tenantList {
	l := tenantList{Batch: tenancy.Batch{Key: batchKey("count", slug, o.name, o.where.Server, o.where.Database, o.where.Schema)}}
	for i := range o.count {
		number := fmt.Sprintf("-%d", i+1)
		n := tenancy.NewTenant{Slug: slug + number, Where: o.where}
		if o.name != "" {
			n.Name = fmt.Sprintf("%s %d", o.name, i+1)
		}
		switch {
		case o.where.Schema != "":
			n.Where.Schema += number
		case o.where.Database != "":
			n.Where.Database += number
		}
		l.add(n.Slug, n)
	}
	return l
}

// batchKey identifies a command by its arguments.
func batchKey(arguments ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(arguments, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// The columns of a file of tenants.
var tenantColumns = []string{"slug", "name", "server", "database", "schema"}

// readTenants reads a file of tenants. Its error has a line for each invalid line of the file.
func readTenants(name, text string) (l tenantList, err error) {
	if name == "-" {
		name = "standard input"
	}
	reader := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	reader.TrimLeadingSpace = true
	columns, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return l, fmt.Errorf("%s is empty: begin with a line of column names, such as slug,name", name)
	}
	if err == nil {
		err = checkColumns(columns)
	}
	if err != nil {
		return l, fmt.Errorf("%s:1: %w", name, err)
	}
	var refused, values []string
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			refused = append(refused, fmt.Sprintf("%s:%d: %v", name, wrong.Line, wrong.Err))
			continue
		}
		line, _ := reader.FieldPos(0)
		n := tenantOf(columns, record)
		if err := validName(n.Name); err != nil {
			refused = append(refused, fmt.Sprintf("%s:%d: %v", name, line, err))
		}
		l.add(fmt.Sprintf("%s:%d: %s", name, line, n.Slug), n)
		values = append(values, n.Slug, n.Name, n.Where.Server, n.Where.Database, n.Where.Schema)
	}
	l.Key = batchKey(values...)
	return l, joinLines(refused)
}

func checkColumns(columns []string) error {
	for i, column := range columns {
		switch {
		case !slices.Contains(tenantColumns, column):
			return fmt.Errorf("column %q is unknown: use %s", column, strings.Join(tenantColumns, ", "))
		case slices.Contains(columns[:i], column):
			return fmt.Errorf("column %q occurs twice", column)
		}
	}
	if !slices.Contains(columns, "slug") {
		return errors.New(`there is no column "slug"`)
	}
	return nil
}

func tenantOf(columns, record []string) (n tenancy.NewTenant) {
	for i, column := range columns {
		value := strings.TrimSpace(record[i])
		switch column {
		case "slug":
			n.Slug = value
		case "name":
			n.Name = value
		case "server":
			n.Where.Server = value
		case "database":
			n.Where.Database = value
		case "schema":
			n.Where.Schema = value
		}
	}
	return n
}

// list returns the tenants that the command is to create, if their slugs and placements are valid.
func (p *program) list(o createOptions, args []string) (l tenantList, err error) {
	cfg, err := p.load()
	if err != nil {
		return l, err
	}
	switch {
	case o.file != "":
		text, err := p.readFile(o.file)
		if err != nil {
			return l, usage("--from-file: %v", err)
		}
		if l, err = readTenants(o.file, text); err != nil {
			return l, usageError{err}
		}
	case !o.many:
		l.Key = "none" // no tenant was created by it
		l.add(args[0], tenancy.NewTenant{Slug: args[0], Name: o.name, Where: o.where})
	default:
		l = o.numbered(args[0])
	}
	if err := l.refusals(l.Check(cfg)); err != nil {
		return l, usageError{err}
	}
	return l, nil
}

func (p *program) createMany(ctx context.Context, o createOptions, args []string) error {
	l, err := p.list(o, args)
	if err != nil {
		return err
	}
	return p.with(ctx, func(s *server) error {
		if err := p.prepare(ctx, s); err != nil {
			return err
		}
		setup, err := s.setup(func(string) {})
		if err != nil {
			return err
		}
		plan, err := planOf(ctx, setup, l)
		switch {
		case err != nil:
			return err
		case o.dryRun:
			return p.showPlan(plan)
		}
		return p.createPlanned(ctx, setup, l, plan, o.jobs)
	})
}

// planOf returns the plan for a batch, or one error for all tenants that cannot be created.
func planOf(ctx context.Context, setup *tenancy.Setup, l tenantList) ([]tenancy.Planned, error) {
	creator, err := setup.NewCreator(ctx)
	if err != nil {
		return nil, err
	}
	defer creator.Close(context.WithoutCancel(ctx))
	plan, err := creator.Plan(ctx, l.Batch)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(plan))
	for i, planned := range plan {
		errs[i] = planned.Err
	}
	return plan, l.refusals(errs)
}

func (p *program) showPlan(plan []tenancy.Planned) error {
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SLUG\tNAME\tPLACEMENT\t")
	for _, t := range plan {
		state := ""
		switch t.State {
		case "":
		case tenancy.StateCreating:
			state = "to be completed"
		default:
			state = "created already"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.Slug, t.Name, t.Placement, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	p.say(fmt.Sprintf("%d tenants would be created, %d are there already", missing(plan), len(plan)-missing(plan)))
	return nil
}

func missing(plan []tenancy.Planned) (count int) {
	for _, t := range plan {
		if t.Missing() {
			count++
		}
	}
	return count
}

func (p *program) createPlanned(ctx context.Context, setup *tenancy.Setup, l tenantList, plan []tenancy.Planned, jobs int) error {
	began, wanted, created := time.Now(), missing(plan), 0
	errs := make([]error, len(plan))
	shown := newBar(p.Err, "tenants", int64(wanted))
	done := 0
	err := setup.CreatePlanned(ctx, l.Key, plan, jobs, func(i int, err error) {
		done++
		shown.set(int64(done))
		if errs[i] = err; err == nil {
			created++
		}
	})
	shown.end()
	if err != nil {
		return err
	}
	p.say(fmt.Sprintf("created %d tenants in %v; %d were there already", created, time.Since(began).Round(100*time.Millisecond), len(plan)-wanted))
	if created == wanted {
		return nil
	}
	if err := p.showFailed(plan, errs); err != nil {
		return err
	}
	return fmt.Errorf("%d of %d tenants were not created: remove the causes, and run the same command again", wanted-created, wanted)
}

func (p *program) showFailed(plan []tenancy.Planned, errs []error) error {
	table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SLUG\tPLACEMENT\tERROR")
	for i, err := range errs {
		if err != nil {
			fmt.Fprintf(table, "%s\t%s\t%s\n", plan[i].Slug, plan[i].Placement, oneLine(err))
		}
	}
	return table.Flush()
}
