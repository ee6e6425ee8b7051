package registry_test

import (
	"testing"

	"tenanted/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }
