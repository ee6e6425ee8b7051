package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/scopes"
	"tenanted/scopes/fleet"
	"tenanted/scopes/session"
)

type dbshellOptions struct {
	tenant  string
	asOwner bool
}

func (o dbshellOptions) role() config.Role {
	if o.asOwner {
		return config.AsOwner
	}
	return config.AsRuntime
}

func newDBShell(p *program) *cobra.Command {
	var o dbshellOptions
	cmd := &cobra.Command{
		ValidArgsFunction: cobra.CompletionFunc(func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // psql takes files
		}),
		Use:   "dbshell [--tenant SLUG] [--owner] [-- psql arguments]",
		Short: "Run psql on the right server, database and schema",
		Long: `Runs psql as the runtime role, which sees no tenant's rows, or one tenant's with --tenant. With --owner it runs as
the owner of the tables, who sees everyone's, and may look at tenants that are suspended or half made.

What comes after -- goes to psql. The exit code is psql's.`,
		Example: `  PROGRAM dbshell
  PROGRAM dbshell --tenant tenant-0 -- -c 'select count(*) from subtasks'
  PROGRAM dbshell --owner -- -c 'select id from accounts'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cmd.ArgsLenAtDash() != 0 {
				return usage("%q comes before --: psql's arguments go after it, as in `%s -- -c 'select 1'`", args[0], cmd.CommandPath())
			}
			return p.withAll(cmd.Context(), func(s *server) error { return p.dbshell(cmd.Context(), s, o, args) })
		},
	}
	cmd.Flags().StringVar(&o.tenant, "tenant", "", "the tenant to work for")
	cmd.Flags().BoolVar(&o.asOwner, "owner", false, "work as the owner of the tables instead of the runtime role")
	return cmd
}

func (p *program) dbshell(ctx context.Context, s *server, o dbshellOptions, args []string) error {
	if o.asOwner && s.cfg.Owner == "" {
		return &config.Error{Variable: "PGOWNER", Reason: "is not set: name the role that owns the tables"}
	}
	psql, err := findPsql(s.binDir)
	if err != nil {
		return err
	}
	environ := s.cfg.Environ(o.role())
	if o.tenant != "" {
		tenant, err := lookUp(ctx, s.cfg, o)
		if err != nil {
			return err
		}
		if err := direct(ctx, s.cfg, o, tenant); err != nil {
			return err
		}
		server, err := s.cfg.ServerOf(tenant.Placement)
		if err != nil {
			return err
		}
		environ = inForce(server.Environ(o.role()), tenant)
	}
	cmd := exec.Command(psql, args...)
	cmd.Env, cmd.Dir = environ, p.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.In, p.Out, p.Err
	return runChild(cmd)
}

func findPsql(binDir string) (string, error) {
	if binDir != "" { // of the server's own version
		if path, err := exec.LookPath(filepath.Join(binDir, "psql")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("psql")
	if err != nil {
		return "", errors.New("psql is not installed: install PostgreSQL's client programs, as with `apt install postgresql-client`")
	}
	return path, nil
}

// lookUp finds the tenant: as the owner in any state, as the runtime role only if it is served.
func lookUp(ctx context.Context, cfg config.Config, o dbshellOptions) (scopes.Tenant, error) {
	if err := tenancy.DirectoryReady(ctx, cfg); err != nil {
		return scopes.Tenant{}, err
	}
	directory, err := tenancy.OpenDirectory(ctx, cfg)
	if err != nil {
		return scopes.Tenant{}, err
	}
	defer directory.Close()
	if o.asOwner {
		entry, err := directory.Find(ctx, o.tenant)
		return entry.Tenant, err
	}
	tenant, err := directory.Lookup(ctx, o.tenant)
	if _, ok := errors.AsType[*scopes.TenantUnavailableError](err); ok {
		err = fmt.Errorf("%w: to look at it all the same, add --owner", err)
	}
	return tenant, err
}

// direct refuses a pooler, which would not keep psql's session settings, a database of another deployment, and a missing
// schema.
func direct(ctx context.Context, cfg config.Config, o dbshellOptions, tenant scopes.Tenant) error {
	conn, err := tenancy.Connect(ctx, cfg, o.role(), tenant.Placement)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := fleet.RequireDirect(ctx, conn); err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", tenant.Schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		return fmt.Errorf("database %q has no schema %q for %v: run %s", tenant.InSchema(""), tenant.Schema, tenant, cfg.Command("migrate"))
	}
	return tenancy.VerifyIdentity(ctx, cfg, conn, tenant.Placement)
}

// inForce returns environ with the tenant set for the whole session, which is safe because psql's connection is not pooled.
func inForce(environ []string, t scopes.Tenant) []string {
	options := ""
	kept := environ[:0:0]
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "PGOPTIONS":
			options = value + " "
		case "PGDATABASE":
		default:
			kept = append(kept, line)
		}
	}
	escape := strings.NewReplacer(`\`, `\\`, " ", `\ `)
	options += fmt.Sprintf("-c %s=%d -c search_path=%s,pg_temp", session.Setting, t.ID, escape.Replace(pgx.Identifier{t.Schema}.Sanitize()))
	return append(kept, "PGDATABASE="+t.Database, "PGOPTIONS="+options)
}

// cancelGrace is how long psql gets to cancel its query.
const cancelGrace = 100 * time.Millisecond

// runChild runs psql in the foreground. The terminal sends Ctrl-C to psql too, which then cancels its query; signals that may
// have reached only this process are passed on.
func runChild(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer close(signals)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	fromTerminal := hasTerminal()
	go func() {
		for received := range signals {
			if received == syscall.SIGTERM || !fromTerminal {
				endChild(cmd.Process)
			}
		}
	}()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return &childError{code: max(exit.ExitCode(), exitFailure)}
	}
	return err
}

// endChild cancels psql's query and then ends psql: the server does not notice a closed connection while it runs a query.
// Errors are ignored, since the process may have ended.
func endChild(psql *os.Process) {
	_ = psql.Signal(os.Interrupt)
	time.Sleep(cancelGrace)
	_ = psql.Signal(syscall.SIGTERM)
}

// hasTerminal reports whether there is a terminal, which sends signals to all of its foreground processes.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	return tty.Close() == nil
}
