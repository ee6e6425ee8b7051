package localpg

import (
	"bytes"
	"fmt"
	"os"
)

// isPostgres says whether the process lives and is a PostgreSQL program. A
// zombie does not live: in a container nobody may ever collect it.
func isPostgres(pid int) bool {
	// proc(5): "pid (name) state ...", and the name may hold parentheses.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	start, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if start < 0 || end < start || len(stat) < end+3 {
		return false
	}
	status := stat[end+2]
	return status != 'Z' && status != 'X' && bytes.Contains(stat[start:end], []byte("postgres"))
}
