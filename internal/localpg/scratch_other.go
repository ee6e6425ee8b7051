//go:build !linux

package localpg

import "os"

// ScratchDir is a directory for servers whose data may be lost: os.TempDir.
func ScratchDir() string { return os.TempDir() }
