package web

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTenantPageIsTheSameInEveryConfiguration(t *testing.T) {
	t.Parallel()
	var pages []string
	for _, configuration := range configurations {
		pages = append(pages, newWorld(t, configuration, nil).page(t, "GET tenant-0.localhost:8080 /subtasks/"))
	}
	require.Equal(t, pages[0], pages[1])
	require.Equal(t, pages[0], pages[2])
}
