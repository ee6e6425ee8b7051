package testpg

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/internal/localpg"
)

// Advisory locks, all in the database postgres: the first of their two numbers
// says what for, the second for which one.
const (
	setupLock = 7_301 // 0: creating the roles
	runLock   = 7_302 // the run's number: its process lives
	useLock   = 7_303 // the template's name, hashed: shared while in use
	buildLock = 7_304 // the same: while building
)

// cluster is the shared server, as one test process sees it.
type cluster struct {
	server *localpg.Server
	run    uint32 // number of this process's run, in the names of its databases
	made   atomic.Int64
	admin  *pgxpool.Pool
	locks  *pgxpool.Conn // holds the session's locks
}

// open prepares the server for this process.
func open(ctx context.Context, server *localpg.Server) (*cluster, error) {
	c := &cluster{server: server, run: rand.Uint32()}
	config, err := pgxpool.ParseConfig(c.dsn("postgres", Superuser))
	if err != nil {
		return nil, err
	}
	config.MaxConns = 8
	if c.admin, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	if err := c.prepare(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cluster) prepare(ctx context.Context) (err error) {
	if c.locks, err = c.admin.Acquire(ctx); err != nil {
		return err
	}
	if _, err := c.locks.Exec(ctx, `select pg_advisory_lock($1, $2)`, runLock, int32(c.run)); err != nil {
		return err
	}
	if err := c.ensureRoles(ctx); err != nil {
		return err
	}
	return c.sweep(ctx)
}

func (c *cluster) close() {
	if c.locks != nil {
		c.locks.Release()
	}
	c.admin.Close()
}

// ensureRoles creates the roles that are missing.
func (c *cluster) ensureRoles(ctx context.Context) error {
	return pgx.BeginFunc(ctx, c.admin, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1, 0)`, setupLock); err != nil {
			return err
		}
		for role, attributes := range map[string]string{Owner: "login createdb", Runtime: "login"} {
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

// sweep drops the databases of runs whose process is no more: the lock of a
// run can be taken only then.
func (c *cluster) sweep(ctx context.Context) error {
	rows, err := c.admin.Query(ctx, `select distinct substr(datname, 6, 8) from pg_database where datname ~ '^test_[0-9a-f]{8}_'`)
	if err != nil {
		return err
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range runs {
		if err := c.sweepRun(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) sweepRun(ctx context.Context, name string) error {
	var run uint32
	if _, err := fmt.Sscanf(name, "%x", &run); err != nil {
		return err
	}
	return c.admin.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		var free bool
		if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1, $2)`, runLock, int32(run)).Scan(&free); err != nil || !free {
			return err
		}
		err := c.dropAll(ctx, "test_"+name+"_")
		_, unlockErr := conn.Exec(ctx, `select pg_advisory_unlock($1, $2)`, runLock, int32(run))
		if err != nil {
			return err
		}
		return unlockErr
	})
}

// dropAll drops the databases whose name begins with prefix, and whoever is
// connected to them.
func (c *cluster) dropAll(ctx context.Context, prefix string) error {
	rows, err := c.admin.Query(ctx, `select datname from pg_database where starts_with(datname, $1)`, prefix)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) drop(ctx context.Context, name string) error {
	_, err := c.admin.Exec(ctx, `drop database if exists `+pgx.Identifier{name}.Sanitize()+` with (force)`)
	return err
}

// dsn is a connection string for the server.
func (c *cluster) dsn(database, role string) string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s sslmode=disable",
		quote(c.server.Host()), c.server.Port(), quote(database), quote(role))
}
