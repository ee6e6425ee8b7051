package localpg

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// After the machine broke down, the number in a pid file may belong to another
// PostgreSQL server, even one of the same account.
func TestAnotherServerHasTheServersNumber(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"ready", "starting"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			other, dir := stopped(t), stopped(t)
			start(t, Options{Dir: other})
			pid := postmasterPID(other)
			writePidFile(t, dir, pid, status)

			start(t, Options{Dir: dir})
			require.NotEqual(t, pid, postmasterPID(dir))
			require.Equal(t, pid, postmasterPID(other), "it is left in peace")
		})
	}
}
