package arch

import (
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// rules say, for the packages below a prefix, which packages of the project (by prefix) and which
// dependencies they must not import. The longest prefix that fits a package decides.
var rules = []struct {
	below   string
	project []string // allowed
	never   []string // forbidden, of other modules
}{
	{below: "tenanted", project: []string{"tenanted/app/cli"}},
	{below: "tenanted/app/cli", project: []string{"tenanted/app", "tenanted/seed", "tenanted/migrations", "tenanted/internal/localpg", "tenanted/models", "tenanted/scopes"}},
	{below: "tenanted/app/config", project: []string{"tenanted/scopes"}},
	{below: "tenanted/app/tenancy", project: []string{"tenanted/app/config", "tenanted/migrations", "tenanted/models", "tenanted/scopes"}},
	{below: "tenanted/app/talk", project: []string{"tenanted/migrations", "tenanted/models", "tenanted/scopes"}},
	{below: "tenanted/app/present", project: []string{"tenanted/app/talk", "tenanted/docs"}, never: []string{"github.com/jackc/pgx", "gorm.io", "database/sql"}},
	{below: "tenanted/app/web", project: []string{"tenanted/app/web", "tenanted/models", "tenanted/scopes"}, never: []string{"github.com/jackc/pgx", "gorm.io", "database/sql"}},
	{below: "tenanted/seed", project: []string{"tenanted/models", "tenanted/scopes"}},
	{below: "tenanted/migrations", project: []string{"tenanted/models", "tenanted/scopes"}},
	{below: "tenanted/models", project: []string{"tenanted/scopes"}, never: []string{"github.com/jackc/pgx"}},
	{below: "tenanted/scopes", project: []string{"tenanted/scopes"}, never: []string{"github.com/gin-gonic"}},
	{below: "tenanted/bench", project: []string{"tenanted"}},
	{below: "tenanted/internal/localpg", project: []string{"tenanted/internal/localpg"}},
	{below: "tenanted/scopes/pgtest", project: []string{"tenanted/internal/localpg"}},
	{below: "tenanted/internal/arch", project: nil},
	{below: "tenanted/internal/browsertest", project: nil},
	{below: "tenanted/docs", project: nil},
}

func TestImportArrows(t *testing.T) {
	t.Parallel()
	noticeFiles(t)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "tenanted/...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		checkPackage(t, words[0], words[1:])
	}
}

// noticeFiles reads the project's directories. What go test remembers of a package counts for as long as what its tests
// have read is the same, and go test does not see what the go command reads for them.
func noticeFiles(t *testing.T) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS("../.."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != "." && strings.HasPrefix(path, ".") {
			return fs.SkipDir
		}
		return err
	}))
}

func checkPackage(t *testing.T, pkg string, imports []string) {
	rule := -1
	for i, r := range rules {
		if under(pkg, r.below) && (rule < 0 || len(r.below) > len(rules[rule].below)) {
			rule = i
		}
	}
	if pkg != "tenanted" && rules[rule].below == "tenanted" {
		t.Errorf("%s has no rule: add one to rules, and the room to docs/architecture.md", pkg)
		return
	}
	isUnder := func(imp string) func(string) bool { return func(prefix string) bool { return under(imp, prefix) } }
	for _, imp := range imports {
		if under(imp, "tenanted") && !slices.ContainsFunc(rules[rule].project, isUnder(imp)) {
			t.Errorf("%s must not import %s", pkg, imp)
		}
		if slices.ContainsFunc(rules[rule].never, isUnder(imp)) {
			t.Errorf("%s must not import %s", pkg, imp)
		}
	}
}

func under(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
