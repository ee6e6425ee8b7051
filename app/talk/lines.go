package talk

import (
	"context"
	"log/slog"
)

// lines counts the lines of a log.
type lines struct{ n int }

func (l *lines) logger() *slog.Logger { return slog.New(l) }

// Enabled implements slog.Handler.
func (l *lines) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *lines) Handle(context.Context, slog.Record) error {
	l.n++
	return nil
}

// WithAttrs implements slog.Handler.
func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *lines) WithGroup(string) slog.Handler { return l }
