package proc

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPU(t *testing.T) {
	t.Parallel()
	burn := exec.Command("sh", "-c", "while :; do :; done & wait")
	burn.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end its child with it
	require.NoError(t, burn.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-burn.Process.Pid, syscall.SIGKILL)
		_ = burn.Wait()
	})
	require.Eventually(t, func() bool {
		used, err := TreeCPU(burn.Process.Pid)
		return err == nil && used >= 50*time.Millisecond
	}, time.Minute, 10*time.Millisecond)
	own, err := CPU(burn.Process.Pid)
	require.NoError(t, err)
	all, err := TreeCPU(burn.Process.Pid)
	require.NoError(t, err)
	require.Less(t, own, all)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	held, err := Memory(os.Getpid())
	require.NoError(t, err)
	peak, err := Peak(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, held, int64(1<<20))
	require.GreaterOrEqual(t, peak, held/2, "the peak is of resident pages, shared ones in full")
}

func TestNoSuchProcess(t *testing.T) {
	t.Parallel()
	const none = 1 << 30
	_, err := TreeCPU(none)
	require.Error(t, err)
	_, err = Memory(none)
	require.Error(t, err)
}
