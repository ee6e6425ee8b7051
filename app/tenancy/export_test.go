package tenancy

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// ScramVerifier is exported for tests.
var ScramVerifier = scramVerifier

// SetVersions has a creator take archives of other versions of the tables than this program's.
func (c *Creator) SetVersions(newest int64, apply func(ctx context.Context, tx pgx.Tx, after, to int64) error) {
	c.versions = tenantTables{newest, apply}
}
