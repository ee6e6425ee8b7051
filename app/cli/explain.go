package cli

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/app/talk"
	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/scopes"
)

const (
	keptPages      = 200 // last pages, one of a tenant
	keptStatements = 20  // of a page
)

// explainer is the site's web.Explainer.
type explainer struct {
	cfg  config.Config
	app  *tenancy.Tenancy
	last *lru.Cache[string, *recording] // by the tenant's key
}

var _ web.Explainer = (*explainer)(nil)

func newExplainer(cfg config.Config, app *tenancy.Tenancy) (*explainer, error) {
	last, err := lru.New[string, *recording](keptPages)
	return &explainer{cfg: cfg, app: app, last: last}, err
}

// recording is the statements of one page.
type recording struct {
	page string

	mutex sync.Mutex
	sent  []recorded
}

type recorded struct {
	statement talk.Statement
	began     time.Time
	took      time.Duration
}

type recordingKey struct{}

// Record implements web.Explainer. A page without statements, as an error, is no page to explain.
func (e *explainer) Record(ctx context.Context, page string) (context.Context, func()) {
	r := &recording{page: page}
	done := func() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		if t, err := scopes.FromContext(ctx); err == nil && len(r.sent) > 0 {
			e.last.Add(t.Key(), r)
		}
	}
	return context.WithValue(ctx, recordingKey{}, r), done
}

// tracer tells the recording in a statement's context of it.
type tracer struct{}

var _ pgx.QueryTracer = tracer{}

type statementKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r, ok := ctx.Value(recordingKey{}).(*recording)
	if !ok {
		return ctx
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.sent) == keptStatements {
		return ctx
	}
	r.sent = append(r.sent, recorded{statement: talk.NewStatement(data.SQL, data.Args), began: time.Now()})
	return context.WithValue(ctx, statementKey{}, len(r.sent)-1)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	r, ok := ctx.Value(recordingKey{}).(*recording)
	i, known := ctx.Value(statementKey{}).(int)
	if !ok || !known {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.sent[i].took = time.Since(r.sent[i].began)
}

// statements returns what was sent, and how many of its parts are conditions on the tenant, and joins by it.
func (r *recording) statements() (sent []web.Statement, conditions, joins int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, each := range r.sent {
		s := web.Statement{Took: each.took}
		for _, p := range each.statement.Pieces() {
			s.Pieces = append(s.Pieces, web.Piece(p))
			switch {
			case p.Tenant && p.IsJoin():
				joins++
			case p.Tenant:
				conditions++
			}
		}
		sent = append(sent, s)
	}
	return sent, conditions, joins
}
