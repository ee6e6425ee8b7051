//go:build !unix

package cli

import "os"

// lockFile does nothing: of two who write one file at once, the second replaces what the first wrote.
func lockFile(*os.File) error { return nil }

// syncDir does nothing: only Unix systems sync directories.
func syncDir(string) error { return nil }
