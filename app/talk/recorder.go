package talk

import (
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Recorder keeps what connections send to PostgreSQL, as it goes over the wire. Its zero value is ready for use.
type Recorder struct {
	mutex sync.Mutex
	sent  []*Statement
	conns int
	trips atomic.Int64
}

// Watch returns a copy of config whose connections are recorded.
func (r *Recorder) Watch(config *pgx.ConnConfig) *pgx.ConnConfig {
	watched := config.Copy()
	watched.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.conns++
		return &watchedConn{Conn: conn, recorder: r, number: r.conns, prepared: map[string]string{}}, nil
	}
	return watched
}

// Reset forgets what was sent.
func (r *Recorder) Reset() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.sent = nil
	r.trips.Store(0)
}

// Sent returns what was executed, in order.
func (r *Recorder) Sent() []Statement {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	sent := make([]Statement, len(r.sent))
	for i, s := range r.sent {
		sent[i] = *s
	}
	return sent
}

// Trips returns how often something was read after something had been sent.
func (r *Recorder) Trips() int64 { return r.trips.Load() }

// watchedConn reads along. PostgreSQL answers in the order of the messages, so what comes first belongs to what was sent
// first.
type watchedConn struct {
	net.Conn
	recorder *Recorder
	number   int
	wrote    atomic.Bool

	mutex    sync.Mutex
	started  bool // past the first message, which has no type
	out, in  []byte
	prepared map[string]string // statements by name
	parsed   string            // the last one
	bound    *Statement
	waiting  []*Statement // for their answers
	simple   bool         // the one that waits is of the simple protocol, and may have several answers
}

// Write implements net.Conn.
func (c *watchedConn) Write(p []byte) (int, error) {
	c.mutex.Lock()
	c.out = append(c.out, p...)
	if !c.started && len(c.out) >= 4 {
		if size := int(binary.BigEndian.Uint32(c.out)); len(c.out) >= size {
			c.out, c.started = c.out[size:], true
		}
	}
	if c.started {
		c.out = messages(c.out, c.send)
	}
	c.mutex.Unlock()
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	if c.wrote.CompareAndSwap(true, false) {
		c.recorder.trips.Add(1)
	}
	n, err := c.Conn.Read(p)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.in = messages(append(c.in, p[:n]...), c.receive)
	return n, err
}

// messages calls each for the whole messages in data, and returns the rest.
func messages(data []byte, each func(kind byte, body []byte)) (rest []byte) {
	for len(data) >= 5 {
		end := 1 + int(binary.BigEndian.Uint32(data[1:]))
		if len(data) < end {
			break
		}
		each(data[0], data[5:end])
		data = data[end:]
	}
	return append([]byte(nil), data...)
}

func (c *watchedConn) send(kind byte, body []byte) {
	switch kind {
	case 'Q':
		var m pgproto3.Query
		if m.Decode(body) == nil {
			c.simple = true
			c.record(&Statement{SQL: m.String, Conn: c.number})
		}
	case 'P':
		var m pgproto3.Parse
		if m.Decode(body) == nil {
			c.prepared[m.Name], c.parsed = m.Query, m.Query
		}
	case 'B':
		var m pgproto3.Bind
		if m.Decode(body) == nil {
			c.bound = &Statement{SQL: c.prepared[m.PreparedStatement], Args: values(m), Conn: c.number}
		}
	case 'E':
		if c.bound != nil {
			c.record(c.bound)
			c.bound = nil
		}
	}
}

func (c *watchedConn) record(s *Statement) {
	c.waiting = append(c.waiting, s)
	if s.SQL == "-- ping" { // by database/sql, which tries an idle connection
		return
	}
	c.recorder.mutex.Lock()
	defer c.recorder.mutex.Unlock()
	c.recorder.sent = append(c.recorder.sent, s)
}

func (c *watchedConn) receive(kind byte, body []byte) {
	switch kind {
	case 'C':
		var m pgproto3.CommandComplete
		if m.Decode(body) == nil {
			c.answered(string(m.CommandTag))
		}
	case 'E':
		var m pgproto3.ErrorResponse
		if m.Decode(body) != nil {
			return
		}
		if len(c.waiting) == 0 && c.parsed != "" { // it was refused before it was executed
			c.record(&Statement{SQL: c.parsed, Conn: c.number})
		}
		c.answered("ERROR: " + m.Message)
	case 'Z':
		c.waiting, c.simple, c.parsed = nil, false, ""
	}
}

func (c *watchedConn) answered(with string) {
	if len(c.waiting) == 0 {
		return
	}
	c.recorder.mutex.Lock()
	c.waiting[0].Answer = with
	c.recorder.mutex.Unlock()
	if !c.simple {
		c.waiting = c.waiting[1:]
	}
}

// values returns a statement's arguments as SQL would write them. What comes in binary is a number or a boolean: pgx sends
// texts as texts.
func values(m pgproto3.Bind) []string {
	out := make([]string, len(m.Parameters))
	for i, p := range m.Parameters {
		binaryFormat := len(m.ParameterFormatCodes) == 1 && m.ParameterFormatCodes[0] == 1 ||
			len(m.ParameterFormatCodes) > i && m.ParameterFormatCodes[i] == 1
		out[i] = literal(p, binaryFormat)
	}
	return out
}

func literal(p []byte, binaryFormat bool) string {
	if p == nil {
		return "NULL"
	}
	if binaryFormat {
		switch len(p) {
		case 1:
			return strconv.FormatBool(p[0] == 1)
		case 4:
			return strconv.Itoa(int(int32(binary.BigEndian.Uint32(p))))
		case 8:
			return strconv.FormatInt(int64(binary.BigEndian.Uint64(p)), 10)
		}
	}
	return quoteLiteral(string(p))
}
