//go:build unix && !linux

package localpg

import (
	"os/exec"
	"strconv"
	"strings"
)

// isPostgres says whether the process lives and is a PostgreSQL program. A
// zombie does not live: nobody may ever collect it.
func isPostgres(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	status := strings.TrimSpace(string(out))
	return err == nil && !strings.HasPrefix(status, "Z") && strings.Contains(status, "postgres")
}
