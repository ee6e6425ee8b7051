package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/migrations"
	"tenanted/scopes"
	"tenanted/scopes/catalog"
	"tenanted/scopes/citus"
	"tenanted/scopes/fleet"
)

// fleetStatus is what migrate --status shows: the versions of the directory and of the chosen placements, how their schemas differ from
// what the migrations make, and what atomic migrations have left prepared.
type fleetStatus struct {
	Versions []versionStatus `json:"versions"`
	Drift    []driftStatus   `json:"drift"`
	Prepared []preparedShown `json:"prepared"`
	Nodes    []citus.Node    `json:"nodes,omitempty"` // of a Citus cluster, with the shards of the shared tables
	Shard    *citus.Shard    `json:"shard,omitempty"` // of the chosen tenant
}

// preparedShown is a transaction that an atomic migration has left prepared.
type preparedShown struct {
	Server   string    `json:"server,omitempty"`
	Database string    `json:"database"`
	GID      string    `json:"gid"`
	Since    time.Time `json:"since"`
	Operator string    `json:"operator"`
	Decision string    `json:"decision,omitempty"` // commit or rollback
	text     string
}

type versionStatus struct {
	placed
	Set     string `json:"set"`
	Version int64  `json:"version"`
	Newest  int64  `json:"newest"`
	State   string `json:"state"`
	Error   string `json:"error,omitempty"`
}

type driftStatus struct {
	placed
	Differences []catalog.Difference `json:"differences,omitempty"`
	Error       string               `json:"error,omitempty"` // why it was not compared
}

// placed is a placement as JSON.
type placed struct {
	Server   string `json:"server,omitempty"` // the default one has no name
	Database string `json:"database"`
	Schema   string `json:"schema"`
}

func (p *program) showStatus(ctx context.Context, setup *tenancy.Setup, cfg config.Config, o migrateOptions) error {
	statuses, err := setup.Status(ctx)
	if err != nil {
		return err
	}
	var all []scopes.Placement
	for _, status := range statuses[1:] {
		all = append(all, status.Placement)
	}
	chosen, err := o.choose(ctx, setup, cfg, all)
	if err != nil {
		return err
	}
	statuses = slices.DeleteFunc(statuses, func(s tenancy.Status) bool {
		return s.Set != migrations.Control && !slices.Contains(chosen, s.Placement)
	})
	drifts, err := setup.Drifts(ctx, statuses)
	if err != nil {
		return err
	}
	drifts = slices.DeleteFunc(drifts, func(d fleet.Drift) bool { return d.Err == nil && len(d.Differences) == 0 })
	shown := statusShown(statuses, drifts)
	if statuses[0].Version > 0 { // else there may be no database
		if err := shown.complete(ctx, setup, statuses, o.tenant); err != nil {
			return err
		}
	}
	if o.format == formatJSON {
		err = writeJSON(p.Out, shown)
	} else {
		err = shown.write(p.Out)
	}
	return errors.Join(err, statusVerdict(statuses, drifts, shown.Prepared))
}

// statusVerdict is an error where something could not be looked at, or is not as the migrations make it.
func statusVerdict(statuses []tenancy.Status, drifts []fleet.Drift, prepared []preparedShown) error {
	var failed []error
	for _, s := range statuses {
		failed = append(failed, s.Err)
	}
	drifted, unknown := 0, 0
	for _, d := range drifts {
		if d.Err != nil {
			unknown++
		} else {
			drifted++
		}
	}
	if len(prepared) > 0 {
		failed = append(failed, fmt.Errorf("%d transactions of an atomic migration are left prepared, and hold their locks", len(prepared)))
	}
	if drifted > 0 {
		failed = append(failed, fmt.Errorf("drift: %d schemas are not as the migrations make them", drifted))
	}
	if unknown > 0 {
		failed = append(failed, fmt.Errorf("%d schemas could not be compared with what the migrations make", unknown))
	}
	return errors.Join(failed...)
}

// complete adds what the directory's database and the servers know.
func (f *fleetStatus) complete(ctx context.Context, setup *tenancy.Setup, statuses []tenancy.Status, tenant string) (err error) {
	if f.Nodes, f.Shard, err = setup.Shards(ctx, tenant); err != nil {
		return err
	}
	prepared, err := setup.Prepared(ctx, statuses)
	for _, p := range prepared {
		f.Prepared = append(f.Prepared, preparedShown{p.Server, p.Database, p.GID, p.Since, p.Operator, p.Decision, p.String()})
	}
	return err
}

func statusShown(statuses []tenancy.Status, drifts []fleet.Drift) fleetStatus {
	shown := fleetStatus{Versions: []versionStatus{}, Drift: []driftStatus{}, Prepared: []preparedShown{}}
	for _, s := range statuses {
		v := versionStatus{placed(s.Placement), string(s.Set), s.Version, s.Set.Newest(), s.State, ""}
		if s.Err != nil {
			v.Error = s.Err.Error()
		}
		shown.Versions = append(shown.Versions, v)
	}
	for _, d := range drifts {
		s := driftStatus{placed: placed(d.Placement), Differences: d.Differences}
		if d.Err != nil {
			s.Error = strings.ReplaceAll(d.Err.Error(), "\n", "; ")
		}
		shown.Drift = append(shown.Drift, s)
	}
	return shown
}

// write prints a table, and below it what each schema differs in.
func (f fleetStatus) write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DATABASE\tSCHEMA\tSET\tVERSION\tNEWEST\tSTATE")
	for _, v := range f.Versions {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", scopes.Placement(v.placed).InSchema(""), v.Schema, v.Set, v.Version, v.Newest, v.State)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, node := range f.Nodes {
		fmt.Fprintf(w, "distributed: %d shards on %s\n", node.Shards, node.Name)
	}
	if f.Shard != nil {
		fmt.Fprintf(w, "the tenant's shard: %v\n", f.Shard)
	}
	for _, p := range f.Prepared {
		fmt.Fprintln(w, p.text)
	}
	for _, d := range f.Drift {
		at := scopes.Placement(d.placed)
		if d.Error != "" {
			fmt.Fprintf(w, "%s: not compared: %s\n", at, d.Error)
		}
		for _, difference := range d.Differences {
			fmt.Fprintf(w, "%s: %s\n", at, difference)
			if difference.SQL != "" {
				fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(difference.SQL, "\n", "\n    "))
			}
		}
	}
	return nil
}
