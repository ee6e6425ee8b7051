package web

import (
	"context"
	"log/slog"

	"tenanted/models"
	"tenanted/scopes"
)

// requestIDKey is the context's key for the request's id.
type requestIDKey struct{}

// ContextLog returns a handler that adds to every record what its context tells: the tenant's slug, the request's id,
// and the operator who is at work. Wrap the handler that GORM's logger writes to, so that a slow statement names its tenant.
// A handler that is wrapped already is returned as it is.
func ContextLog(h slog.Handler) slog.Handler {
	if wrapped, ok := h.(contextLog); ok {
		return wrapped
	}
	return contextLog{h}
}

type contextLog struct{ slog.Handler }

func (h contextLog) Handle(ctx context.Context, r slog.Record) error {
	if tenant, err := scopes.FromContext(ctx); err == nil {
		r.AddAttrs(slog.String("tenant", tenant.Slug))
	}
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		r.AddAttrs(slog.String("request_id", id))
	}
	if name := models.OperatorOf(ctx); name != "" {
		r.AddAttrs(slog.String("operator", name))
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextLog{h.Handler.WithAttrs(attrs)}
}

func (h contextLog) WithGroup(name string) slog.Handler { return contextLog{h.Handler.WithGroup(name)} }
