package notesdb_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/audit"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type uuidNote struct {
	scopes.HasTenant
	OrgID uuid.UUID `gorm:"primaryKey;tenant"`
	ID    uuid.UUID `gorm:"primaryKey;default:gen_random_uuid()"`
	Text  string
}

type textNote struct {
	scopes.HasTenant
	OrgID string    `gorm:"primaryKey;tenant"`
	ID    uuid.UUID `gorm:"primaryKey;default:gen_random_uuid()"`
	Text  string
}

func (uuidNote) TableName() string { return "notes" }
func (textNote) TableName() string { return "notes" }

// The tables are a pattern to copy, so they must pass the audit.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for schema, model := range map[string]any{notesdb.Schema: &uuidNote{}, notesdb.SchemaText: &textNote{}} {
		db := notesdb.New(t, schema)
		report, err := audit.Run(pgtest.Context(t), db.Connect(t, pgtest.Runtime), audit.Config{Models: []any{model}}, "public")
		require.NoError(t, err)
		require.NoError(t, report.Err())
	}
}
