package localpg

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// port only names the socket file: every server has a socket directory of
	// its own, so two of them never meet.
	port = 5432

	// superuser is the role that initdb creates. It has no password: whoever
	// may enter the socket directory (mode 0700) may log in.
	superuser = "postgres"
)

// Options says which server Start joins or starts. The zero value is
// the server of DefaultDir, and not durable.
type Options struct {
	// Dir holds the data, the socket, the log and the locks of one server. It
	// is created when missing. Empty: DefaultDir.
	Dir string

	// BinDir is the directory of the programs initdb and postgres. Empty: the
	// variable LOCALPG_BINDIR, then the usual places of the platform.
	BinDir string

	// Durable keeps every acknowledged commit when the machine or the server
	// dies. Without it writing is faster, and a power cut may destroy the data.
	Durable bool

	// Notify is called, with a line for people, for work that takes longer than a
	// moment: creating the server. Nil: not called.
	Notify func(line string)

	// Settings are further server settings (postgresql.conf names). They win
	// over the package's own. A server that runs already keeps those it was
	// started with.
	Settings map[string]string
}

func (o Options) notify(line string) {
	if o.Notify != nil {
		o.Notify(line)
	}
}

// Server is one use of a running PostgreSQL server. Its methods may be called
// from several goroutines at once.
type Server struct {
	dir     string
	host    string
	binDir  string
	options Options // with Dir
	release func() error
}

// Host is the directory of the server's Unix socket, as libpq's host= takes it.
func (s *Server) Host() string { return s.host }

// Port is the number in the name of the socket, as libpq's port= takes it. The
// server listens on no TCP port.
func (s *Server) Port() int { return port }

// Superuser is the name of the superuser. It needs no password.
func (s *Server) Superuser() string { return superuser }

// BinDir is the directory of the running server's programs, where psql and
// pg_dump of the same version usually are too.
func (s *Server) BinDir() string { return s.binDir }

// Dir is the directory that holds the server's data, socket and log.
func (s *Server) Dir() string { return s.dir }

// Close ends this use of the server. The last user stops the server and waits
// until it is down. Closing again does nothing and returns the same error.
func (s *Server) Close() error { return s.release() }

// DefaultDir is $LOCALPG_DIR, else a directory for the data of the current
// user. For root that is below /var/lib and not below the home directory: the
// server refuses to run as root, and the account that it runs under instead
// cannot enter /root.
func DefaultDir() (string, error) {
	if dir := os.Getenv("LOCALPG_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := dataHome()
	if err != nil {
		return "", fmt.Errorf("no place for the private PostgreSQL server's data: %w; set LOCALPG_DIR to a directory", err)
	}
	return filepath.Join(base, "tenanted", "postgres"), nil
}

// dataHome is the directory in which programs keep the user's data.
func dataHome() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib", nil
	}
	// The XDG specification tells programs to ignore a relative path.
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support"), nil
	}
	return filepath.Join(home, ".local", "share"), nil
}
