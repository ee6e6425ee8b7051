package vet

import (
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const directive = "//tenantvet:ignore"

// exception is one ignore comment.
type exception struct {
	pos    token.Pos
	reason string
	lines  map[line]bool
	used   bool
}

type line struct {
	file   string
	number int
}

// exceptions are the ignore comments of a package.
type exceptions struct {
	fset *token.FileSet
	list []*exception
}

func newExceptions(pass *analysis.Pass) *exceptions {
	e := &exceptions{fset: pass.Fset}
	for _, file := range pass.Files {
		for _, group := range file.Comments {
			for _, comment := range group.List {
				if reason, ok := strings.CutPrefix(comment.Text, directive); ok {
					e.add(file, comment.Pos(), strings.TrimSpace(reason))
				}
			}
		}
	}
	return e
}

// add takes in a comment. It speaks for its own line, and for the statement or field that begins on the next one, whose
// chain of calls may go over many lines. Of a statement with a body it means the head.
func (e *exceptions) add(file *ast.File, pos token.Pos, reason string) {
	own := e.line(pos)
	ex := &exception{pos: pos, reason: reason, lines: map[line]bool{own: true}}
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil || n.End() < pos {
			return false
		}
		if begin := e.line(n.Pos()); excepted(n) && begin.number == own.number+1 {
			for at := begin; at.number <= e.line(headEnd(n)).number; at.number++ {
				ex.lines[at] = true
			}
		}
		return true
	})
	e.list = append(e.list, ex)
}

func (e *exceptions) line(pos token.Pos) line {
	p := e.fset.Position(pos)
	return line{p.Filename, p.Line}
}

func excepted(n ast.Node) bool {
	switch n.(type) {
	case *ast.BlockStmt:
		return false
	case ast.Stmt, *ast.Field, *ast.ValueSpec:
		return true
	default:
		return false
	}
}

// headEnd returns where a statement ends, or where its body begins.
func headEnd(n ast.Node) token.Pos {
	switch n := n.(type) {
	case *ast.IfStmt:
		return n.Body.Pos()
	case *ast.ForStmt:
		return n.Body.Pos()
	case *ast.RangeStmt:
		return n.Body.Pos()
	case *ast.SwitchStmt:
		return n.Body.Pos()
	case *ast.TypeSwitchStmt:
		return n.Body.Pos()
	case *ast.SelectStmt:
		return n.Body.Pos()
	default:
		return n.End()
	}
}

// apply returns the findings that are not excepted, and those about the exceptions themselves.
func (e *exceptions) apply(findings []analysis.Diagnostic) []analysis.Diagnostic {
	var left []analysis.Diagnostic
	for _, f := range findings {
		if !e.except(f.Pos) {
			left = append(left, f)
		}
	}
	for _, ex := range e.list {
		switch {
		case ex.reason == "":
			left = append(left, analysis.Diagnostic{Pos: ex.pos, Message: "tenantvet:ignore without a reason: write why it is safe behind it"})
		case !ex.used:
			left = append(left, analysis.Diagnostic{Pos: ex.pos, Message: "tenantvet:ignore where nothing is reported: remove it"})
		}
	}
	return left
}

// except reports whether a finding is excepted, by a comment that gives its reason.
func (e *exceptions) except(pos token.Pos) bool {
	at, found := e.line(pos), false
	for _, ex := range e.list {
		if ex.reason != "" && ex.lines[at] {
			ex.used, found = true, true
		}
	}
	return found
}
