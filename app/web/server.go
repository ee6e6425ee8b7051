package web

import (
	"log/slog"
	"net/http"
	"time"
)

const maxHeaderBytes = 16 << 10

// NewServer returns a server for handler with a bound on everything that a client could take its time
// with: 5 s for the headers, 10 s for the whole request, 30 s for the answer, 60 s between requests.
func NewServer(addr string, handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
