package arch

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// TestOtherSystems checks the types of the program and of all that it is made of, for the systems that no test runs on. To
// compile it for them, on a machine that never did, takes ten times as long.
func TestOtherSystems(t *testing.T) {
	t.Parallel()
	if os.Getenv("CI") != "true" {
		t.Skip("takes 15 s; CI does it")
	}
	noticeFiles(t)
	for _, system := range []string{"darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			loaded, err := packages.Load(&packages.Config{
				Context: t.Context(),
				Mode:    packages.LoadAllSyntax,
				Env:     append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
			}, "tenanted")
			require.NoError(t, err)
			packages.Visit(loaded, nil, func(p *packages.Package) { require.Empty(t, p.Errors, p.PkgPath) })
		})
	}
}
