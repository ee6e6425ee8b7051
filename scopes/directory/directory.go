package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/scopes"
	"tenanted/scopes/session"
	"tenanted/scopes/tenanthttp"
)

// Config configures a [Directory].
type Config struct {
	// Database says how to connect to the database that has the tenants. Required.
	Database *pgx.ConnConfig

	// BeforeConnect is called before each connection is opened, with a copy of its settings, whose password it may set: for credentials
	// that change while the program runs. Default: nil.
	BeforeConnect func(context.Context, *pgx.ConnConfig) error

	// Query returns the tenant that is called $1, a text, in one row, or none. Its columns are id, slug, and as far as it has
	// them name, server, database, schema and state; others are ignored. A null server is the default one, see
	// scopes.Placement, and a null database the one that Database names. A state
	// other than "active" is why the tenant is not served. A row with another slug than was asked for says that the tenant was
	// renamed, unless a host name was asked for. Default: "select * from tenants where slug = $1".
	Query string

	// Channel is what [Directory.Watch] listens on. Default: "tenant_changes".
	Channel string
	// Notified is given what each notification says, and reports whether a tenant may have changed. Default: nil, it may.
	Notified func(payload string) (changed bool)

	// KnownFor is how long a tenant is remembered, UnknownFor that nobody has a name. Defaults: 10 and 2 seconds.
	KnownFor, UnknownFor time.Duration

	// KnownMax is how many tenants are remembered, UnknownMax how many names of nobody. Defaults: 20,000 and 10,000.
	KnownMax, UnknownMax int

	// MaxConns bounds the connections for lookups, which take a fraction of a millisecond each. Default: 4.
	MaxConns int32
}

// WithDefaults returns a copy in which unset fields have their defaults.
func (c Config) WithDefaults() Config {
	orDefault(&c.Query, "select * from tenants where slug = $1")
	orDefault(&c.Channel, "tenant_changes")
	orDefault(&c.KnownFor, 10*time.Second)
	orDefault(&c.UnknownFor, 2*time.Second)
	orDefault(&c.KnownMax, 20_000)
	orDefault(&c.UnknownMax, 10_000)
	orDefault(&c.MaxConns, 4)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

func (c Config) validate() error {
	switch {
	case c.Database == nil:
		return errors.New("directory: Config.Database is required")
	case c.KnownFor < 0 || c.UnknownFor < 0 || c.KnownMax < 0 || c.UnknownMax < 0 || c.MaxConns < 0:
		return errors.New("directory: durations and bounds of Config must not be negative")
	}
	return nil
}

// Directory answers who is called what. It may be used by several goroutines at once.
type Directory struct {
	config  Config
	pool    *pgxpool.Pool
	known   *lru.Cache[string, answer]
	unknown *lru.Cache[string, answer] // apart from the known ones, which a flood of made-up names must not push out
	now     func() time.Time

	remembered, asked atomic.Int64 // lookups, by where their answer was

	changes atomic.Int64 // notified so far
	stop    context.CancelFunc
	stopped chan struct{}
}

var _ tenanthttp.Directory = (*Directory)(nil)

// answer is what a lookup found.
type answer struct {
	tenant  scopes.Tenant
	state   string // empty: there is no such tenant
	until   time.Time
	changes int64 // notified before the lookup; after another one the answer is not used
}

// Open returns a directory. It connects to nothing yet. Close it after use.
func Open(ctx context.Context, config Config) (*Directory, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	pool, err := newPool(ctx, config)
	if err != nil {
		return nil, err
	}
	d := &Directory{config: config, pool: pool, now: time.Now}
	d.known, _ = lru.New[string, answer](config.KnownMax)     // it fails only for a size
	d.unknown, _ = lru.New[string, answer](config.UnknownMax) // that is not above zero
	return d, nil
}

func newPool(ctx context.Context, config Config) (*pgxpool.Pool, error) {
	// ParseConfig is the only way to make one. It reads the environment, which Database has replaced.
	pool, err := pgxpool.ParseConfig(config.Database.ConnString())
	if err != nil {
		return nil, err
	}
	pool.ConnConfig = config.Database.Copy()
	pool.BeforeConnect = config.BeforeConnect
	pool.MaxConns = config.MaxConns
	return pgxpool.NewWithConfig(ctx, pool)
}

// Lookup returns the active tenant of that name: a slug, or a host name, which has a dot. It returns a
// *scopes.TenantUnknownError if nobody has it, a *scopes.TenantRenamedError if the tenant has another slug now, a
// *scopes.TenantUnavailableError if the tenant is in another state than active, and an error with scopes.ErrUnavailable in
// its chain if the database is away.
func (d *Directory) Lookup(ctx context.Context, name string) (scopes.Tenant, error) {
	if !tenanthttp.ValidName(name) {
		return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: name}
	}
	found, ok := d.recall(name)
	if ok {
		d.remembered.Add(1)
	} else {
		d.asked.Add(1)
		var err error
		if found, err = d.ask(ctx, name); err != nil {
			return scopes.Tenant{}, fmt.Errorf("look up tenant %q: %w", name, session.Explain(err))
		}
		d.remember(name, found)
	}
	return found.is(name)
}

// is returns what the answer says of the tenant of that name.
func (a answer) is(name string) (scopes.Tenant, error) {
	renamed := a.tenant.Slug != name && !strings.Contains(name, ".")
	switch {
	case a.state == "":
		return scopes.Tenant{}, &scopes.TenantUnknownError{Slug: name}
	case a.state != active:
		return scopes.Tenant{}, &scopes.TenantUnavailableError{Slug: name, State: a.state}
	case renamed:
		return scopes.Tenant{}, &scopes.TenantRenamedError{Slug: name, Now: a.tenant.Slug}
	default:
		return a.tenant, nil
	}
}

func (d *Directory) recall(name string) (answer, bool) {
	found, ok := d.known.Get(name)
	if !ok {
		found, ok = d.unknown.Get(name)
	}
	return found, ok && found.changes == d.changes.Load() && d.now().Before(found.until)
}

func (d *Directory) remember(name string, found answer) {
	if found.state == "" {
		found.until = d.now().Add(d.config.UnknownFor)
		d.known.Remove(name)
		d.unknown.Add(name, found)
		return
	}
	found.until = d.now().Add(d.config.KnownFor)
	d.unknown.Remove(name)
	d.known.Add(name, found)
}

// Forget forgets all answers, as after a change that this process made itself.
func (d *Directory) Forget() {
	d.changes.Add(1)
	d.known.Purge()
	d.unknown.Purge()
}

// Stats are a directory's figures since it was opened.
type Stats struct {
	Remembered, Asked int64 // lookups answered from memory, and by the database
	Known, Unknown    int   // names in memory, of tenants and of nobody
}

// Stats returns the current figures.
func (d *Directory) Stats() Stats {
	return Stats{Remembered: d.remembered.Load(), Asked: d.asked.Load(), Known: d.known.Len(), Unknown: d.unknown.Len()}
}

// Ping reports whether the database answers.
func (d *Directory) Ping(ctx context.Context) error { return session.Explain(d.pool.Ping(ctx)) }

// Close closes the directory's connections, and waits for lookups under way. It returns no error; it is an io.Closer.
func (d *Directory) Close() error {
	if d.stop != nil {
		d.stop()
		<-d.stopped
	}
	d.pool.Close()
	return nil
}
