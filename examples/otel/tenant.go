package otel

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"tenanted/scopes"
)

// tenantSpans is a span processor that puts the tenant of its context on each span that begins: of statements, and whatever
// else the program traces. It is registered once, with sdk.WithSpanProcessor.
type tenantSpans struct{}

var _ sdk.SpanProcessor = tenantSpans{}

func (tenantSpans) OnStart(ctx context.Context, span sdk.ReadWriteSpan) {
	span.SetAttributes(attributes(ctx)...)
}
func (tenantSpans) OnEnd(sdk.ReadOnlySpan)           {}
func (tenantSpans) Shutdown(context.Context) error   { return nil }
func (tenantSpans) ForceFlush(context.Context) error { return nil }

// mark puts the tenant on the request's span, which began before the tenant was known. It stands behind tenanthttp's
// middleware.
func mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trace.SpanFromContext(r.Context()).SetAttributes(attributes(r.Context())...)
		next.ServeHTTP(w, r)
	})
}

func attributes(ctx context.Context) []attribute.KeyValue {
	tenant, err := scopes.FromContext(ctx)
	if err != nil { // nobody's, or for all tenants
		return nil
	}
	return []attribute.KeyValue{attribute.String("tenant.id", tenant.Key()), attribute.String("tenant.slug", tenant.Slug)}
}
