package pgtest

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// RoundTrips counts how often connections wait for the server. Its zero value is ready for use.
type RoundTrips struct{ n atomic.Int64 }

// N returns how many there were: each time something was read after something had been sent.
func (r *RoundTrips) N() int64 { return r.n.Load() }

// Watch returns a copy of config whose connections are counted, from connecting on.
func (r *RoundTrips) Watch(config *pgx.ConnConfig) *pgx.ConnConfig {
	watched := config.Copy()
	dial := watched.DialFunc
	watched.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &watchedConn{Conn: conn, trips: r}, err
	}
	return watched
}

type watchedConn struct {
	net.Conn
	trips *RoundTrips
	wrote atomic.Bool
}

// Write implements net.Conn.
func (c *watchedConn) Write(p []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	if c.wrote.CompareAndSwap(true, false) {
		c.trips.n.Add(1)
	}
	return c.Conn.Read(p)
}
