//go:build unix && !linux

package localpg

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// lives says whether the process is alive and a PostgreSQL program. A zombie
// is not alive: nobody may ever collect it.
func lives(pid int, _ string) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false
	}
	status, program, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	return !strings.HasPrefix(status, "Z") && strings.Contains(filepath.Base(program), "postgres")
}
