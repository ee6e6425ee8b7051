package models_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tenanted/models"
)

func TestPercentIsHundredOnlyWhenAllIsDone(t *testing.T) {
	t.Parallel()
	for p, want := range map[models.Progress]int64{{}: 0, {Subtasks: 1}: 0, {Subtasks: 1000, Done: 999}: 99, {Subtasks: 3, Done: 3}: 100, {Subtasks: 3, Done: 1}: 33} {
		require.Equal(t, want, p.Percent(), p)
	}
}
