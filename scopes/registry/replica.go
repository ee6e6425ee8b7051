package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes/session"
)

const (
	// replicaConnectTime bounds the opening of a connection to a replica: the primary can serve.
	replicaConnectTime = time.Second

	// checksWithinLag is how often within Config.MaxLag the servers are asked how far they are.
	checksWithinLag = 4

	// samplesFor is how long positions of the primary are remembered, so as to tell how far behind a replica is.
	samplesFor = time.Minute
)

// replicas are those of one server, the primary. What they have been proven to have decides whether they are read from: each is asked
// for the position that it has replayed, and the primary for the one it has written, again and again. When a replica has replayed
// what the primary had written at a moment, it is as fresh as that moment, whatever became of the connection between them.
type replicas struct {
	primary *server
	all     []*replica
	maxLag  time.Duration
	stop    context.CancelFunc
	checks  sync.WaitGroup
	next    atomic.Uint64

	mu      sync.Mutex
	samples []sample // of the primary, the oldest first
	writers map[string]writer
}

// writer is a tenant who may have written lately.
type writer struct {
	conns int       // on which it may write now
	until time.Time // when the last one was released
}

// sample is a position that the primary had written at a moment, or somewhat later.
type sample struct {
	at       time.Time
	position uint64
	cluster  string
}

// replica is one that may be read from.
type replica struct {
	*server
	state atomic.Pointer[replicaState]
}

// replicaState is what the last check of a replica said.
type replicaState struct {
	freshAt time.Time // it has all that was committed before; zero: not known
	err     error     // why it could not be asked
}

// ReplicaStats describe a replica at one moment.
type ReplicaStats struct {
	// Used says whether it is read from.
	Used bool
	// Lag is how far it is behind at most; above a minute it may be less.
	Lag time.Duration
	// Err says why it could not be asked how far it is, when it was asked last.
	Err error
}

func (r *Registry) newReplicas(primary *server, s Server) *replicas {
	ctx, stop := context.WithCancel(context.Background())
	all := &replicas{primary: primary, maxLag: r.config.MaxLag, stop: stop, writers: map[string]writer{}}
	for i, config := range s.Replicas {
		s.Runtime = config
		one := &replica{server: r.newServer(strings.TrimSpace(fmt.Sprintf("%s replica %d", primary.name, i+1)), s, min(r.config.ConnectTimeout, replicaConnectTime))}
		one.primary = primary
		one.state.Store(&replicaState{})
		all.all = append(all.all, one)
	}
	all.watch(ctx)
	return all
}

func (r *replicas) close() {
	r.stop()
	r.checks.Wait()
	for _, one := range r.all {
		one.server.close()
	}
}

// choose returns where a tenant reads: from one of the replicas that are fresh enough by turns, or else from the primary.
func (r *replicas) choose(tenant string) *server {
	now := time.Now()
	if r.wroteLately(tenant, now) {
		return r.primary
	}
	first := int(r.next.Add(1) % uint64(len(r.all)))
	for i := range r.all {
		if one := r.all[(first+i)%len(r.all)]; one.fresh(now, r.maxLag) {
			return one.server
		}
	}
	return r.primary
}

// fresh reports whether the replica has all that was committed before maxLag ago.
func (one *replica) fresh(now time.Time, maxLag time.Duration) bool {
	return now.Sub(one.state.Load().freshAt) < maxLag
}

// writes notes that the tenant has one more connection on which it may write, or one less.
func (r *replicas) writes(tenant string, more int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writers[tenant] = writer{r.writers[tenant].conns + more, time.Now()}
}

func (r *replicas) wroteLately(tenant string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.writers[tenant]
	return ok && w.lately(now, r.maxLag)
}

func (w writer) lately(now time.Time, maxLag time.Duration) bool {
	return w.conns > 0 || now.Sub(w.until) <= maxLag
}

// watch asks each server how far it is, until ctx ends. One that hangs holds up no other.
func (r *replicas) watch(ctx context.Context) {
	r.repeat(ctx, &probe{server: r.primary}, r.sample)
	for _, one := range r.all {
		r.repeat(ctx, &probe{server: one.server}, func(ctx context.Context, p *probe) { one.check(ctx, p, r.sampled()) })
	}
}

// repeat calls check beside, again and again until ctx ends.
func (r *replicas) repeat(ctx context.Context, p *probe, check func(context.Context, *probe)) {
	r.checks.Go(func() {
		defer p.close()
		ticker := time.NewTicker(max(r.maxLag/checksWithinLag, time.Millisecond))
		defer ticker.Stop()
		for ctx.Err() == nil {
			bounded, cancel := context.WithTimeout(ctx, max(r.maxLag, replicaConnectTime))
			check(bounded, p)
			cancel()
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	})
}

// sample asks the primary, and drops what is too old to matter.
func (r *replicas) sample(ctx context.Context, p *probe) {
	asked := time.Now()
	position, cluster, err := p.position(ctx, writtenSQL)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.samples = append(r.samples, sample{asked, position, cluster})
	}
	r.samples = slices.DeleteFunc(r.samples, func(s sample) bool { return asked.Sub(s.at) > samplesFor })
	maps.DeleteFunc(r.writers, func(_ string, w writer) bool { return !w.lately(asked, r.maxLag) })
}

func (r *replicas) sampled() []sample {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.samples)
}

// check asks the replica how far it is. What it has replayed by then it has of the samples that were taken before.
func (one *replica) check(ctx context.Context, p *probe, samples []sample) {
	replayed, cluster, err := p.position(ctx, replayedSQL)
	if err == nil && slices.ContainsFunc(samples, func(s sample) bool { return s.cluster != cluster }) {
		err = errStranger
	}
	if err != nil {
		one.state.Store(&replicaState{err: err})
		return
	}
	one.state.Store(&replicaState{freshAt: freshAt(samples, replayed, one.state.Load().freshAt)})
}

// freshAt returns the last moment at which the primary had written no more than was replayed, or before if none is known.
func freshAt(samples []sample, replayed uint64, before time.Time) time.Time {
	for _, s := range slices.Backward(samples) {
		if s.position <= replayed {
			return s.at
		}
	}
	return before
}

func (one *replica) figures(maxLag time.Duration) *ReplicaStats {
	state := one.state.Load()
	now := time.Now()
	figures := &ReplicaStats{Used: one.fresh(now, maxLag), Err: state.err}
	if !state.freshAt.IsZero() {
		figures.Lag = now.Sub(state.freshAt)
	}
	return figures
}

// What the primary has written, and what a replica has replayed, null where it is no replica. A page's header is told by the sizes.
const (
	writtenSQL = `select (pg_current_wal_insert_lsn() - '0/0')::bigint, (select system_identifier::text from pg_control_system()),
		pg_size_bytes(current_setting('wal_segment_size')), current_setting('wal_block_size')::bigint`
	replayedSQL = `select case when pg_is_in_recovery() then (pg_last_wal_replay_lsn() - '0/0')::bigint end,
		(select system_identifier::text from pg_control_system()), 1, 1`
)

// Why a server under Replicas is not read from, beside being behind or away.
var (
	errNoReplica = errors.New("it is no replica, or has replayed nothing yet")
	errStranger  = errors.New("it is a replica of another server")
)

// probe asks one server for its position, over a connection of its own.
type probe struct {
	server *server
	conn   *pgx.Conn
}

// position returns how far the server is, and which cluster it is of.
func (p *probe) position(ctx context.Context, sql string) (position uint64, cluster string, err error) {
	if p.conn == nil {
		if p.conn, err = session.NewConnector(p.server.runtime).BeforeConnect(p.server.beforeConnect).ConnectPgx(ctx); err != nil {
			return 0, "", err
		}
	}
	var at *int64
	var segment, block int64
	if err := p.conn.QueryRow(ctx, sql, pgx.QueryExecModeExec).Scan(&at, &cluster, &segment, &block); err != nil {
		p.close()
		return 0, "", session.Explain(err)
	}
	if at == nil {
		return 0, "", errNoReplica
	}
	return uint64(beforeHeader(*at, segment, block)), cluster, nil
}

// beforeHeader returns a position just behind a page's header as the page's beginning: no record is between them, and a replica
// that has replayed all is at the beginning.
func beforeHeader(position, segment, block int64) int64 {
	const short, long = 24, 40
	if position%segment == long {
		return position - long
	}
	if position%block == short {
		return position - short
	}
	return position
}

func (p *probe) close() {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), replicaConnectTime)
	defer cancel()
	_ = p.conn.Close(ctx)
	p.conn = nil
}
