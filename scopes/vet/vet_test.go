package vet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"tenanted/scopes/vet"
)

// TestAnalyzer runs the cases: each // want is a finding, and every other line has none.
func TestAnalyzer(t *testing.T) {
	t.Parallel()
	analysistest.Run(t, analysistest.TestData(), vet.Analyzer,
		"statements", "contexts", "goroutines", "models", "views", "untenanted", "exceptions", "tenanted/scopes")
}
