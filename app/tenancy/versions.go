package tenancy

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/migrations"
)

// FleetVersion is how many placements are at a version of a set of migrations, as `migrate` has left them.
type FleetVersion struct {
	Set        migrations.Set
	Version    int64
	Placements int64
}

// State says how the version stands to this program's: "current", "outdated" or "newer".
func (v FleetVersion) State() string { return versionState(v.Set, v.Version) }

// Newest returns the version that this program knows.
func (v FleetVersion) Newest() int64 { return v.Set.Newest() }

func versionState(set migrations.Set, version int64) string {
	switch newest := set.Newest(); {
	case version < newest:
		return "outdated"
	case version > newest:
		return "newer"
	}
	return "current"
}

// versionsFor is how long the versions are remembered.
const versionsFor = 10 * time.Second

// knownVersions remembers the fleet's versions for a while, so that who asks often asks the database seldom.
type knownVersions struct {
	cfg   config.Config
	mutex sync.Mutex
	known []FleetVersion
	until time.Time
}

// Versions returns how many placements are at which version, as far as `migrate` has told since the directory has the table for it. The
// answer may be ten seconds old.
func (t *Tenancy) Versions(ctx context.Context) ([]FleetVersion, error) { return t.versions.get(ctx) }

func (k *knownVersions) get(ctx context.Context) ([]FleetVersion, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if time.Now().Before(k.until) {
		return k.known, nil
	}
	conn, err := connect(ctx, k.cfg.Runtime())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, _ := conn.Query(ctx, "select migrations, version, placements from control.fleet_versions() order by 1, 2")
	known, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FleetVersion])
	if err != nil {
		return nil, err
	}
	k.known, k.until = known, time.Now().Add(versionsFor)
	return known, nil
}
