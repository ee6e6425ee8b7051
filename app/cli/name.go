package cli

import (
	"path/filepath"
	"regexp"
	"strings"
)

// defaultName is the program's name if it is not known how it was called.
const defaultName = "tenanted"

// ProgramName returns how the user called the program, for messages that suggest another call: "go run .", "./tenanted",
// "tenanted". arg0 is os.Args[0], and executable the file that the process runs.
func ProgramName(arg0, executable string) string {
	switch {
	case arg0 == "":
		return defaultName
	case isGoRun(executable):
		return "go run ."
	default:
		return shellWord(arg0)
	}
}

// cachedBuild is the directory of an executable in Go's build cache, which go run runs since Go 1.24.
var cachedBuild = regexp.MustCompile(`^[0-9a-f]{64}-d$`)

// isGoRun reports whether go run built the executable: in a temporary directory, such as /tmp/go-build123/b001/exe/tenanted,
// or in the build cache.
func isGoRun(executable string) bool {
	dir := filepath.Dir(executable)
	return cachedBuild.MatchString(filepath.Base(dir)) ||
		filepath.Base(dir) == "exe" && strings.HasPrefix(filepath.Base(filepath.Dir(filepath.Dir(dir))), "go-build")
}

var plainWord = regexp.MustCompile(`^[\w./+:@%=-]+$`)

// shellWord quotes a word for the shell if necessary.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
