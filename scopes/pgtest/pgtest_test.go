package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tenanted/internal/localpg"
)

// programKey makes the test binary a program: a test process that uses the
// template of this key.
const programKey = "TESTPG_TEST_KEY"

func TestMain(m *testing.M) {
	os.Setenv("PGHOST", "a-server-of-the-developer")
	if key := os.Getenv(programKey); key != "" {
		code, err := run(func() int { return useTemplate(key) })
		if err != nil {
			fmt.Println("failed:", err)
		}
		os.Exit(code)
	}
	Main(m)
}

// useTemplate makes a database and a role, says their names, and waits until
// its input ends. Every build of the template adds a line to the named file.
func useTemplate(key string) int {
	ctx := context.Background()
	template, err := current.template(ctx, key, func(context.Context, *pgx.Conn) error {
		return appendLine(os.Getenv(programKey + "_BUILDS"))
	})
	database, role := current.newName(""), current.newName("role")
	if err == nil {
		err = current.create(ctx, database, template)
	}
	if err == nil {
		_, err = current.admin.Exec(ctx, `create role `+ident(role))
	}
	fmt.Println(database, role, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func appendLine(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(file, "built"); err != nil {
		return err
	}
	return file.Close()
}

// program is a test process that runs useTemplate.
type program struct {
	command        *exec.Cmd
	input          io.Closer
	output         *bufio.Reader
	database, role string
}

func runProgram(t *testing.T, key, builds string) *program {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	command := exec.Command(path)
	command.Env = append(os.Environ(), programKey+"="+key, programKey+"_BUILDS="+builds)
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return &program{command: command, input: input, output: bufio.NewReader(output)}
}

// ready waits until the program has made its database and role.
func (p *program) ready(t *testing.T) {
	t.Helper()
	line, err := p.output.ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 3, line)
	require.Equal(t, "<nil>", fields[2], line)
	p.database, p.role = fields[0], fields[1]
}

func (p *program) end(t *testing.T) {
	t.Helper()
	require.NoError(t, p.input.Close())
	require.NoError(t, p.command.Wait())
}

// uniqueKey is the key of a template that is dropped when the test ends.
func uniqueKey(t *testing.T) string {
	t.Helper()
	key := strings.TrimSuffix(current.newName("key"), "_")
	t.Cleanup(func() { require.NoError(t, current.drop(context.Background(), templateName(key))) })
	return key
}

func things(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `create table things (id bigint); insert into things values (1), (2)`)
	return err
}

func TestDatabaseIsACloneOfItsOwn(t *testing.T) {
	t.Parallel()
	a := Database(t, "pgtest-things", things)
	b := Database(t, "pgtest-things", things)
	require.NotEqual(t, a.Name, b.Name)
	a.Exec(t, Owner, `delete from things`)

	var left int
	require.NoError(t, b.Connect(t, Owner).QueryRow(t.Context(), `select count(*) from things`).Scan(&left))
	require.Equal(t, 2, left)
}

func TestDatabasesAreDroppedWithTheTest(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("a test", func(t *testing.T) {
		db := Database(t, "pgtest-things", things)
		name = db.Name
		db.Exec(t, Owner, `create database `+ident(db.Name+"_tenant-1"))
	})
	left, err := current.names(t.Context(), `select datname from pg_database where starts_with(datname, $1)`, name)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTheRolesHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	t.Parallel()
	db := Database(t, "pgtest-things", things)
	_, err := db.Connect(t, Runtime).Exec(t.Context(), `select * from things`)
	require.ErrorContains(t, err, "permission denied")

	roles, err := current.names(t.Context(), `
		select format('%s %s %s %s', rolname, rolsuper, rolbypassrls, rolcreatedb) from pg_roles
		where rolname in ($1, $2) order by 1`, Owner, Runtime)
	require.NoError(t, err)
	require.Equal(t, []string{"test_owner f f t", "test_runtime f f f"}, roles)
}

func TestRoleMayOwnThings(t *testing.T) {
	t.Parallel()
	db := Database(t, "pgtest-things", things)
	role := Role(t, "bypassrls in role "+Owner)
	db.Exec(t, role, `create table more (); drop table things`)
	db.Exec(t, Superuser, `alter table more owner to `+ident(role))
}

func TestTheDevelopersServersAreOutOfReach(t *testing.T) {
	t.Parallel()
	for _, entry := range os.Environ() {
		require.False(t, strings.HasPrefix(entry, "PG"), entry)
	}
}

func TestConnectionStringsAreQuoted(t *testing.T) {
	t.Parallel()
	config, err := pgx.ParseConfig(current.dsn(`it's a \ "name"`, `role = 'x'`))
	require.NoError(t, err)
	require.Equal(t, `it's a \ "name"`, config.Database)
	require.Equal(t, `role = 'x'`, config.User)
	require.Equal(t, current.server.Host(), config.Host)
}

// recorder is a test that notes its failures.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestAssertQuietFindsAnOpenTransaction(t *testing.T) {
	t.Parallel()
	db := Database(t, "pgtest-things", things)
	tx, err := db.Connect(t, Owner).Begin(t.Context())
	require.NoError(t, err)

	busy := &recorder{TB: t}
	db.AssertQuiet(busy)
	require.Len(t, busy.failures, 1)
	require.Contains(t, busy.failures[0], "test_owner")
	require.Contains(t, busy.failures[0], "idle in transaction: begin")

	require.NoError(t, tx.Rollback(t.Context()))
	db.AssertQuiet(t)
}

// privateCluster is a server that no other test uses.
func privateCluster(t *testing.T) *cluster {
	t.Helper()
	base, err := os.MkdirTemp(localpg.ScratchDir(), "pgtest-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	require.NoError(t, os.Chmod(base, 0o755))
	server, err := localpg.Start(t.Context(), localpg.Options{Dir: filepath.Join(base, "pg"), Settings: settings})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return openCluster(t, server)
}

// openCluster opens the server as another process would.
func openCluster(t *testing.T, server *localpg.Server) *cluster {
	t.Helper()
	c, err := open(t.Context(), server, "login createdb")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.close(context.Background()) })
	return c
}
