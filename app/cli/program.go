package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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

// logger returns the log, which names the tenant and the request of whatever a record is about.
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

// open reads the settings and, unless they name a server, starts or joins the private one.
func (p *program) open(ctx context.Context) (*server, error) {
	cfg, err := config.Load(p.Environ, p.Dir)
	if err != nil {
		return nil, err
	}
	if !cfg.Private() {
		return &server{cfg: cfg}, nil
	}
	local, err := localpg.Start(ctx, localpg.Options{Dir: cfg.LocalDir, BinDir: cfg.LocalBinDir, Durable: true})
	if err != nil {
		return nil, err
	}
	s := &server{local: local, binDir: local.BinDir()}
	if s.cfg, err = cfg.At(local.Host(), local.Port()); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.admin = s.cfg.OwnerConn()
	s.admin.User, s.admin.Password, s.admin.Database = local.Superuser(), "", "postgres"
	return s, nil
}

// close gives the private server back; its last user stops it.
func (s *server) close() error {
	if s.local == nil {
		return nil
	}
	return s.local.Close()
}

func (s *server) setup(say func(string)) (*tenancy.Setup, error) {
	return tenancy.NewSetup(s.cfg, s.admin, say)
}

// prepare sees to it that the databases can be used. On the private server it makes what is missing; a server of
// the user's own it leaves as it is, and says what is wrong.
func (p *program) prepare(ctx context.Context, s *server) error {
	err := tenancy.Ready(ctx, s.cfg)
	if _, missing := errors.AsType[*tenancy.NotReadyError](err); !missing || s.local == nil {
		return err
	}
	setup, err := s.setup(p.say)
	if err != nil {
		return err
	}
	if err := setup.Run(ctx); err != nil {
		return err
	}
	return tenancy.Ready(ctx, s.cfg)
}

// with runs work with the server, and gives the server back.
func (p *program) with(ctx context.Context, work func(*server) error) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(work(s), s.close())
}
