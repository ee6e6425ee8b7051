package registry_test

import (
	"testing"

	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
