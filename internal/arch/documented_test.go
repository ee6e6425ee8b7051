package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What others import explains itself: each exported name, method and field of scopes and the packages below it has a comment,
// or is named in its type's.
func TestLibraryIsDocumented(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../../scopes")
	require.NoError(t, fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir() && entry.Name() != "testdata" && entry.Name() != "internal":
			return err
		case entry.IsDir():
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(root, path)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			for _, name := range undocumented(declaration) {
				t.Errorf("scopes/%s: %s has no comment", path, name)
			}
		}
		return nil
	}))
}

// undocumented returns the exported names of a declaration without a comment.
func undocumented(declaration ast.Decl) (names []string) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, undocumentedIn(s, d.Doc.Text()+s.Doc.Text()+s.Comment.Text())...)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	of := d.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	name, ok := of.(*ast.Ident)
	return !ok || name.IsExported()
}

// undocumentedIn looks at a type and its fields or methods. A comment may be about several of them.
func undocumentedIn(s *ast.TypeSpec, comments string) (names []string) {
	if !s.Name.IsExported() {
		return nil
	}
	if comments == "" {
		names = append(names, s.Name.Name)
	}
	var members *ast.FieldList
	switch of := s.Type.(type) {
	case *ast.StructType:
		members = of.Fields
	case *ast.InterfaceType:
		members = of.Methods
	default:
		return names
	}
	for _, member := range members.List {
		comments += member.Doc.Text()
	}
	for _, member := range members.List {
		for _, name := range member.Names {
			if name.IsExported() && member.Doc == nil && member.Comment == nil && !regexp.MustCompile(`\b`+name.Name+`\b`).MatchString(comments) {
				names = append(names, s.Name.Name+"."+name.Name)
			}
		}
	}
	return names
}
