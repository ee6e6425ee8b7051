package scopes

import "context"

type readingKey struct{}

// Reading returns a context whose statements only read, as those of a page that is looked at. They run in read-only transactions, so
// one that would write fails, and scopes/registry may send them to a replica of the tenant's server. A transaction is what it was
// begun as: a statement with such a context in another's transaction runs as part of it.
func Reading(ctx context.Context) context.Context { return context.WithValue(ctx, readingKey{}, true) }

// IsReading reports whether ctx comes from [Reading].
func IsReading(ctx context.Context) bool { return ctx != nil && ctx.Value(readingKey{}) != nil }
