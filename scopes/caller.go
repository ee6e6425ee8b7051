package scopes

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

// caller returns the file and line that a statement comes from: the innermost outside of GORM and of this package.
func caller() string {
	own := reflect.TypeFor[Plugin]().PkgPath() + "."
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if frame.File != "" && !strings.HasPrefix(frame.Function, "gorm.io/") && !strings.HasPrefix(frame.Function, own) {
			return fmt.Sprintf("%s:%d", frame.File, frame.Line)
		}
	}
	return "unknown"
}
