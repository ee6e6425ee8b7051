package otel

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"example.com/examples/notesdb"

	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestSpans(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(tenantSpans{}), sdk.WithSyncer(spans))
	db := notesdb.New(t, notesdb.Schema)
	notes := openTraced(db.Runtime, provider)
	defer notes.Close()
	site, err := site(notes, notesdb.Tenants, provider)
	require.NoError(t, err)
	notesdb.VerifyHTTP(t, site, func(slug string) string { return "http://" + slug + ".example.com/notes" })

	requests, statements, served := map[trace.TraceID]string{}, 0, map[string]int{}
	for _, span := range spans.GetSpans() {
		if span.SpanKind == trace.SpanKindServer {
			requests[span.SpanContext.TraceID()] = tenantOf(t, span)
			served[tenantOf(t, span)]++
		}
	}
	for _, span := range spans.GetSpans() {
		if span.SpanKind == trace.SpanKindClient {
			statements++
			require.Equal(t, requests[span.SpanContext.TraceID()], tenantOf(t, span), span.Name)
			require.NotEmpty(t, tenantOf(t, span), span.Name)
		}
	}
	require.Equal(t, map[string]int{"acme": 26, "umbrella": 26, "": 1}, served, "VerifyHTTP's requests, one of them for a tenant that is unknown")
	require.GreaterOrEqual(t, statements, 52)
}

// A statement without a tenant is refused, and its span says so.
func TestSpanOfForgottenTenant(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(tenantSpans{}), sdk.WithSyncer(spans))
	db := notesdb.New(t, notesdb.Schema)
	notes := openTraced(db.Runtime, provider)
	defer notes.Close()
	db.VerifyForgotten(t, otelhttp.NewHandler(handler(notes), "notes", otelhttp.WithTracerProvider(provider)))
	refused := 0
	for _, span := range spans.GetSpans() {
		require.Empty(t, tenantOf(t, span))
		if span.SpanKind == trace.SpanKindClient && span.Name != "connect" {
			refused++
			require.Equal(t, codes.Error, span.Status.Code)
		}
	}
	require.NotZero(t, refused)
}

// tenantOf returns the tenant's slug on a span, and requires that the id is its.
func tenantOf(t *testing.T, span tracetest.SpanStub) (slug string) {
	var id string
	for _, a := range span.Attributes {
		switch a.Key {
		case attribute.Key("tenant.id"):
			id = a.Value.AsString()
		case attribute.Key("tenant.slug"):
			slug = a.Value.AsString()
		}
	}
	require.Equal(t, notesdb.Tenants[slug].Key(), id, span.Name)
	return slug
}
