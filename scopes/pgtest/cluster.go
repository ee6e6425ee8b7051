package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/internal/localpg"
)

// Advisory locks, all in the database postgres: the first of their two numbers
// says what for, the second for which one.
const (
	setupLock = 7301 // 0: creating the roles
	runLock   = 7302 // the run's number: its process lives
	useLock   = 7303 // the template's name, hashed: shared while in use
	buildLock = 7304 // the same: while it is built
)

// cluster is the shared server, as one test process sees it.
type cluster struct {
	server    *localpg.Server
	run       uint32       // number of this process's run
	made      atomic.Int64 // how many databases and roles it made so far
	templates sync.Map     // key → func() error, ensures the template
	admin     *pgxpool.Pool

	locksMu sync.Mutex
	locks   *pgx.Conn // holds the locks of the process, until it ends
}

// open prepares the server for this process.
func open(ctx context.Context, server *localpg.Server, ownerAttributes string) (*cluster, error) {
	c := &cluster{server: server, run: rand.Uint32()}
	var err error
	if c.admin, err = pgxpool.New(ctx, c.dsn("postgres", Superuser)+" pool_max_conns=8"); err != nil {
		return nil, err
	}
	if c.locks, err = pgx.Connect(ctx, c.dsn("postgres", Superuser)); err != nil {
		return nil, err
	}
	if err := c.hold(ctx, `select pg_advisory_lock($1, $2)`, runLock, int32(c.run)); err != nil {
		return nil, err
	}
	if err := c.ensureRoles(ctx, ownerAttributes); err != nil {
		return nil, fmt.Errorf("create the roles: %w", err)
	}
	if err := c.sweep(ctx); err != nil {
		return nil, fmt.Errorf("drop what killed tests left: %w", err)
	}
	return c, nil
}

// close drops what is left of this run.
func (c *cluster) close(ctx context.Context) error {
	err := c.dropRun(ctx, c.run)
	c.admin.Close()
	return errors.Join(err, c.locks.Close(ctx))
}

// stop closes the cluster and gives the server back.
func (c *cluster) stop(ctx context.Context) error { return errors.Join(c.close(ctx), c.server.Close()) }

// hold takes a lock for the rest of the process's life.
func (c *cluster) hold(ctx context.Context, query string, args ...any) error {
	c.locksMu.Lock()
	defer c.locksMu.Unlock()
	_, err := c.locks.Exec(ctx, query, args...)
	return err
}

// ensureRoles creates the roles that are missing.
func (c *cluster) ensureRoles(ctx context.Context, ownerAttributes string) error {
	return pgx.BeginFunc(ctx, c.admin, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, setupLock); err != nil {
			return err
		}
		for role, attributes := range map[string]string{Owner: ownerAttributes, Runtime: "login"} {
			var exists bool
			if err := tx.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists); err != nil {
				return err
			}
			if exists {
				continue
			}
			if _, err := tx.Exec(ctx, `create role `+role+` `+attributes); err != nil {
				return err
			}
		}
		return nil
	})
}

// newName is a name for a database or role that no other test uses.
func (c *cluster) newName(kind string) string {
	return fmt.Sprintf("%s%s%d", runPrefix(c.run), kind, c.made.Add(1))
}

// dsn is a connection string for the server.
func (c *cluster) dsn(database, role string) string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable",
		quote(c.server.Host()), c.server.Port(), quote(database), quote(role))
}

// quote quotes a value of a keyword/value connection string.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
