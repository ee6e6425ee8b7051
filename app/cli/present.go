package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"tenanted/app/config"
	"tenanted/app/present"
	"tenanted/app/talk"
	"tenanted/app/web"
)

// What the talk has on the private PostgreSQL. No deployment uses these names, unless somebody chose them; then they are left alone.
const (
	talkDatabase = "tenanted_talk"
	talkOwner    = "tenanted_talk_owner"
	talkRuntime  = "tenanted_talk_app"

	// maxTalkDatabase is the longest name of the main database: those of the others have some more letters.
	maxTalkDatabase = 50
)

type presentOptions struct{ addr, database string }

func newPresent(p *program) *cobra.Command {
	var o presentOptions
	cmd := &cobra.Command{
		Use:   "present",
		Short: "Show the talk in a browser: slides on multi-tenancy whose claims are experiments that run here",
		Long: `Serves slides about multi-tenancy with PostgreSQL. Each claim on them is an experiment, run at the press of a button against
the real code, on databases made for it: ` + talkDatabase + ` and others whose names begin so, on the private PostgreSQL.
Other databases are left alone.

On a server of your own it needs --experiments-database, the name of a database that it may make, and PGOWNER with the right to
create databases.`,
		Example: `  PROGRAM present
  PROGRAM present --addr localhost:9000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.database) > maxTalkDatabase {
				return usage("--experiments-database %s has %d letters: choose a name of at most %d", o.database, len(o.database), maxTalkDatabase)
			}
			cfg, err := p.load()
			switch {
			case err != nil:
				return err
			case !cfg.Private() && o.database == "":
				return usage("on a server of your own, name a database that may be made for the experiments: --experiments-database %s", talkDatabase)
			case !cfg.Private() && cfg.Owner == "":
				return &config.Error{Variable: "PGOWNER", Reason: "is not set: name a role that may create databases for the experiments"}
			}
			return p.withAll(cmd.Context(), func(s *server) error { return p.present(cmd.Context(), s, o) })
		},
	}
	cmd.Flags().StringVar(&o.addr, "addr", "localhost:8000", "the address to listen on, as host:port")
	cmd.Flags().StringVar(&o.database, "experiments-database", "", "the database to make for the experiments; others are made that begin so")
	return cmd
}

func (p *program) present(ctx context.Context, s *server, o presentOptions) error {
	listener, err := listen(ctx, "--addr", o.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	log := p.logger("text")
	defer s.keep(ctx, log)()
	lab, err := talk.Open(ctx, s.forTalk(o.database), p.say)
	if err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(o.addr) // listen has looked at it
	if host == "" {
		host = "localhost"
	}
	p.say(fmt.Sprintf("the talk is at http://%s/", net.JoinHostPort(host, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))))
	if err := serveUntil(ctx, listener, web.NewServer(o.addr, present.New(lab, log), log)); err != nil {
		return err
	}
	p.say("stopped")
	return nil
}

// forTalk says where the experiments' databases are made: on the private server by roles of their own, elsewhere by those of
// the settings.
func (s *server) forTalk(database string) talk.Server {
	t := talk.Server{Database: database, Owner: s.cfg.OwnerConn(), Runtime: s.cfg.Runtime(), Superuser: s.admin, BinDir: s.binDir, Private: s.local != nil}
	if s.local == nil {
		return t
	}
	if t.Database == "" {
		t.Database = talkDatabase
	}
	t.Owner, t.Runtime = s.admin.Copy(), s.admin.Copy()
	t.Owner.User, t.Runtime.User = talkOwner, talkRuntime
	return t
}
