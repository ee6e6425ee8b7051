// Package arch keeps the project's import arrows (docs/architecture.md), by a test. It has no code.
package arch
