package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/internal/localpg"
)

// program is what the commands share.
type program struct{ IO }

// say writes a line for people.
func (p *program) say(line string) { fmt.Fprintln(p.Out, line) }

// path resolves a file name against the working directory.
func (p *program) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.Dir, name)
}

// logger returns the log, whose records name the tenant and the request.
func (p *program) logger(format string) *slog.Logger {
	var handler slog.Handler = slog.NewTextHandler(p.Err, nil)
	if format == "json" {
		handler = slog.NewJSONHandler(p.Err, nil)
	}
	return slog.New(web.ContextLog(handler))
}

// server is the PostgreSQL server in use.
type server struct {
	cfg    config.Config // with the server's address
	admin  *pgx.ConnConfig
	local  *localpg.Server // nil: the user's own
	binDir string          // where the server's programs are; empty: not known
}

// load reads the settings.
func (p *program) load() (config.Config, error) {
	cfg, err := config.Load(p.Environ, p.Dir)
	cfg.Program, cfg.Operator = p.Program, operator()
	return cfg, err
}

// operator returns who runs the program, for the audit log.
func operator() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// open reads the settings and, unless they name a server, starts or joins the private one.
func (p *program) open(ctx context.Context) (*server, error) {
	cfg, err := p.load()
	if err != nil {
		return nil, err
	}
	if !cfg.Private() {
		return &server{cfg: cfg}, nil
	}
	note := func(line string) { fmt.Fprintln(p.Err, line) } // not on the standard output, which may be JSON
	local, err := localpg.Start(ctx, localpg.Options{Dir: cfg.LocalDir, BinDir: cfg.LocalBinDir, Durable: true, Notify: note})
	if err != nil {
		return nil, err
	}
	note("using the private PostgreSQL in " + local.Dir() + ", since neither PGHOST nor DATABASE_URL names a server")
	s := &server{local: local, binDir: local.BinDir()}
	if s.cfg, err = cfg.At(local.Host(), local.Port()); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	s.admin = s.cfg.OwnerConn()
	s.admin.User, s.admin.Password, s.admin.Database = local.Superuser(), "", "postgres"
	return s, nil
}

// How long a command's work, and then the private server, may take to end once the command is asked to stop.
const (
	workGrace  = 300 * time.Millisecond
	closeGrace = 500 * time.Millisecond
)

// errAbandoned says that work was still running when the grace period ended.
var errAbandoned = errors.New("interrupted before it was done")

// within returns what work returns, or errAbandoned once ctx has ended and grace has passed.
func within(ctx context.Context, grace time.Duration, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(grace):
		return errAbandoned
	}
}

// close releases the private server; its last user stops it. When ctx ends, close does not wait any longer: the server stops
// by itself.
func (s *server) close(ctx context.Context) error {
	if s.local == nil {
		return nil
	}
	if err := within(ctx, closeGrace, s.local.Close); !errors.Is(err, errAbandoned) {
		return err
	}
	return nil
}

// keep restarts the private server whenever it dies, until stop is called.
func (s *server) keep(ctx context.Context, log *slog.Logger) (stop func()) {
	if s.local == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // requests in flight need it after ctx has ended
	var kept sync.WaitGroup
	kept.Go(func() {
		s.local.Keep(ctx, func(err error) {
			if err != nil {
				log.Error("the private PostgreSQL died and could not be started again", "error", err)
				return
			}
			log.Warn("the private PostgreSQL died and was started again")
		})
	})
	return func() { cancel(); kept.Wait() }
}

func (s *server) setup(say func(string)) (*tenancy.Setup, error) {
	return tenancy.NewSetup(s.cfg, s.admin, say)
}

// prepare makes sure that the databases are set up. On the private server it makes what is missing; on the user's own server
// it changes nothing, and returns what is wrong.
func (p *program) prepare(ctx context.Context, s *server) error {
	err := tenancy.Ready(ctx, s.cfg)
	if _, missing := errors.AsType[*tenancy.NotReadyError](err); !missing || s.local == nil {
		return err
	}
	setup, err := s.setup(p.say)
	if err != nil {
		return err
	}
	failed := setup.Run(ctx) // perhaps for one tenant only
	if err := tenancy.Ready(ctx, s.cfg); err != nil {
		return cmp.Or(failed, err)
	}
	return nil
}

// with runs work with the server, and releases the server. Work that does not end soon after ctx is abandoned; the process
// ends then, and PostgreSQL rolls back what was not committed.
func (p *program) with(ctx context.Context, work func(*server) error) error {
	return p.withAll(ctx, func(s *server) error {
		return within(ctx, workGrace, func() error { return work(s) })
	})
}

// withAll is [program.with] for work that ends by itself when ctx does: requests in flight, another program.
func (p *program) withAll(ctx context.Context, work func(*server) error) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.close(ctx))
}
