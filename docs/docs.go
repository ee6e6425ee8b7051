// Package docs has those of the documents that the program shows too.
package docs

import _ "embed"

// Benchmarks are the figures that `go run ./bench` measured, as JSON.
//
//go:embed benchmarks.json
var Benchmarks []byte
