//go:build unix

package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// useDir makes the test binary a program that uses the server of a directory.
const useDir = "LOCALPG_TEST_USE"

// secret stands for what is in a developer's environment.
const secret = "the-developer's-password"

func TestMain(m *testing.M) {
	if dir := os.Getenv(useDir); dir != "" {
		os.Exit(useServer(dir))
	}
	os.Setenv("PGPASSWORD", secret)
	os.Setenv("PGPORT", "1")
	var err error
	if templateDir, err = os.MkdirTemp(ScratchDir(), "localpg-template-"); err != nil {
		panic(err)
	}
	// Before the first test: a child that is forked while the copy is written would hold it open, and it could not be run.
	if self, err = reachableSelf(templateDir); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(templateDir)
	os.Exit(code)
}

// useServer is the program: it uses the server until its input ends.
func useServer(dir string) int {
	server, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("uses", postmasterPID(dir))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := server.Close(); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	return 0
}

// program is a running useServer.
type program struct {
	command *exec.Cmd
	input   io.Closer
	output  *bufio.Reader
}

// runProgram starts useServer in another process, under an account if that is
// not nil.
func runProgram(t *testing.T, dir string, under *account) *program {
	t.Helper()
	command := exec.Command(self)
	if under != nil {
		under.run(command)
	}
	command.Env = append(os.Environ(), useDir+"="+dir)
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &program{command, input, bufio.NewReader(output)}
	t.Cleanup(p.kill)
	return p
}

// server waits until the program uses the server, and returns its process.
func (p *program) server(t *testing.T) int {
	t.Helper()
	line, err := p.output.ReadString('\n')
	require.NoError(t, err)
	pid, found := strings.CutPrefix(strings.TrimSpace(line), "uses ")
	require.True(t, found, line)
	number, err := strconv.Atoi(pid)
	require.NoError(t, err)
	return number
}

// end lets the program end in order.
func (p *program) end(t *testing.T) {
	t.Helper()
	require.NoError(t, p.input.Close())
	rest, err := io.ReadAll(p.output)
	require.NoError(t, err)
	require.NoError(t, p.command.Wait(), string(rest))
}

// kill is kill -9.
func (p *program) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// self is the path of the test binary, or of a copy that every account can
// reach. TestMain sets it.
var self string

// reachableSelf returns the test binary's path; for root, whose server runs
// under another account, that of a copy in dir.
func reachableSelf(dir string) (string, error) {
	path, err := os.Executable()
	if err != nil || os.Geteuid() != 0 {
		return path, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	target := filepath.Join(dir, "localpg.test")
	return target, errors.Join(os.WriteFile(target, content, 0o755), os.Chmod(dir, 0o755))
}

// openTempDir is like t.TempDir, but root's server account can enter it.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(ScratchDir(), "localpg-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// templateDir is where template puts it.
var templateDir string

// template is a server's directory, initialised once for all tests.
var template = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(templateDir, "pg")
	server, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		return "", err
	}
	return dir, server.Close()
})

// stopped is the directory of an initialised server that does not run.
func stopped(t *testing.T) string {
	t.Helper()
	from, err := template()
	require.NoError(t, err)
	dir := filepath.Join(openTempDir(t), "pg")
	out, err := exec.Command("cp", "-a", from, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}

// start starts or joins a server; the test closes it.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	server, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

func postmasterPID(dir string) int { return readPostmaster(filepath.Join(dir, dataName)).pid }

func running(pid int, dir string) bool { return lives(pid, filepath.Join(dir, dataName)) }

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig("sslmode=disable dbname=postgres")
	require.NoError(t, err)
	config.Host, config.Port, config.User = s.Host(), uint16(s.Port()), s.Superuser()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func ask(t *testing.T, s *Server, query string) (answer string) {
	t.Helper()
	conn := connect(t, s)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&answer))
	return answer
}

func tell(t *testing.T, s *Server, statement string) {
	t.Helper()
	conn := connect(t, s)
	defer conn.Close(t.Context())
	_, err := conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 20*time.Second, 2*time.Millisecond, what)
}

func killServer(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}
