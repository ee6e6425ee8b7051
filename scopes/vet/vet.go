package vet

import (
	"flag"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/buildssa"
)

// DefaultColumns are the names of columns that are taken for a tenant column, comma-separated.
const DefaultColumns = "account_id,tenant_id"

// Analyzer is the check, for a vet tool or another driver of golang.org/x/tools/go/analysis. Its flag "columns"
// (default [DefaultColumns]) names the tenant columns.
var Analyzer = newAnalyzer()

func newAnalyzer() *analysis.Analyzer {
	flags := flag.NewFlagSet("tenantvet", flag.ContinueOnError)
	columns := flags.String("columns", DefaultColumns, "names of tenant columns, comma-separated")
	return &analysis.Analyzer{
		Name:     "tenantvet",
		Doc:      "report statements that no tenant can reach, and models without the tenant their column promises",
		Flags:    *flags,
		Requires: []*analysis.Analyzer{buildssa.Analyzer},
		Run: func(pass *analysis.Pass) (any, error) {
			run(pass, strings.Split(*columns, ","))
			return nil, nil
		},
	}
}

func run(pass *analysis.Pass, columns []string) {
	findings := checkModels(pass, columns)
	program := pass.ResultOf[buildssa.Analyzer].(*buildssa.SSA)
	findings = append(findings, checkStatements(newIndex(pass.Fset, program))...)
	findings = newExceptions(pass).apply(findings)
	slices.SortStableFunc(findings, func(a, b analysis.Diagnostic) int { return int(a.Pos - b.Pos) })
	for _, d := range slices.CompactFunc(findings, samePlace) {
		pass.Report(d)
	}
}

// samePlace tells that two findings are about one place, of which the first says enough.
func samePlace(a, b analysis.Diagnostic) bool { return a.Pos == b.Pos }
