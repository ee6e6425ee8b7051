package models_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// BenchmarkPage reads first pages of a list of 237 subtasks and of one that is longer than what is counted.
func BenchmarkPage(b *testing.B) {
	m := open(b)
	m.db.Exec(b, pgtest.Owner, "vacuum (analyze) subtasks") // as seed and autovacuum do
	for name, id := range map[string]scopes.TenantID{"small": 1, "large": 2} {
		for _, filter := range []models.SubtaskFilter{{}, {Status: models.Open}, {Search: "step"}} {
			b.Run(fmt.Sprintf("%s%s%s", name, filter.Status, filter.Search), func(b *testing.B) {
				list := m.Subtasks(m.as(b, id)).Filter(filter)
				for b.Loop() {
					_, _, err := list.Page(models.ByName, 1, 10)
					require.NoError(b, err)
				}
			})
		}
	}
}
