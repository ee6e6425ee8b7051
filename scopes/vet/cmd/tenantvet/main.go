// Command tenantvet runs the check of package vet as a tool of go vet:
//
//	go vet -vettool=$(which tenantvet) ./...
//
// It exits with 1 when there are findings.
package main

import (
	"golang.org/x/tools/go/analysis/unitchecker"

	"tenanted/scopes/vet"
)

func main() { unitchecker.Main(vet.Analyzer) }
