package localpg

import (
	"bytes"
	"fmt"
	"os"
)

// lives says whether the process is alive and the server of a data directory:
// that is the directory a server works in. A zombie is not alive: in a
// container nobody may ever collect it.
func lives(pid int, data string) bool {
	// proc(5): "pid (name) state ...", and the name may hold parentheses.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, status, found := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(" "))
	if !found || bytes.HasPrefix(status, []byte("Z")) || bytes.HasPrefix(status, []byte("X")) {
		return false
	}
	worksIn, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false // another account's, so not our server
	}
	here, err := os.Stat(data)
	return err == nil && os.SameFile(worksIn, here)
}
