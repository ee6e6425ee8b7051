package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/bench/proc"
)

func processors() int { return runtime.NumCPU() }

// number returns the one number that a query asks for.
func (b *bench) number(ctx context.Context, database, query string, args ...any) (n int64, err error) {
	conn, err := pgx.Connect(ctx, b.dsn(database))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return n, conn.QueryRow(ctx, query, args...).Scan(&n)
}

// liveHeap returns what is alive in the application's memory, after collecting the rest.
func liveHeap(ctx context.Context, app *process) (bytes int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+app.pprof+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\n# HeapAlloc = ")
	number, _, ok := strings.Cut(rest, "\n")
	if !ok {
		return 0, fmt.Errorf("the profile of the heap names no HeapAlloc")
	}
	return strconv.ParseInt(number, 10, 64)
}

// held is memory, in bytes.
type held struct{ app, pg int64 }

// memory returns what a server process and all of PostgreSQL hold.
func (b *bench) memory(server int) (h held, err error) {
	if h.app, err = proc.Memory(server); err != nil {
		return h, err
	}
	postmaster, err := b.postmaster()
	if err != nil {
		return h, err
	}
	backends, err := proc.Tree(postmaster)
	if err != nil {
		return h, err
	}
	for _, pid := range backends {
		if bytes, err := proc.Memory(pid); err == nil { // else it has just ended
			h.pg += bytes
		}
	}
	return h, nil
}
