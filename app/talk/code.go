package talk

import (
	"bytes"
	"embed"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// source is what this package is made of, so that the code on a slide is the code that runs.
//
//go:embed *.go
var source embed.FS

// Code returns the text of the functions that the experiment is about.
func (e Experiment) Code() string {
	texts := make([]string, len(e.code))
	for i, f := range e.code {
		texts[i] = functions()[nameOf(f)]
	}
	return strings.Join(texts, "\n\n")
}

// nameOf returns the name of a function of this package.
func nameOf(f any) string {
	full := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	name := full[strings.LastIndexByte(full, '.')+1:]
	return strings.TrimSuffix(name, "[...]")
}

// functions are the texts of this package's functions, by name.
var functions = sync.OnceValue(func() map[string]string {
	texts := map[string]string{}
	entries, err := source.ReadDir(".")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, entry := range entries {
		content, err := source.ReadFile(path.Base(entry.Name()))
		if err != nil {
			panic(err)
		}
		addFunctions(texts, entry.Name(), content)
	}
	return texts
})

func addFunctions(texts map[string]string, name string, content []byte) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, content, parser.ParseComments)
	if err != nil {
		panic(err) // it was compiled
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		var b bytes.Buffer
		config := printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}
		if err := config.Fprint(&b, files, &printer.CommentedNode{Node: f, Comments: file.Comments}); err != nil {
			panic(err)
		}
		texts[f.Name.Name] = b.String()
	}
}
