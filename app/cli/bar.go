package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows on a terminal how far something is. Elsewhere it shows nothing.
type bar struct {
	out io.Writer
	bar *progressbar.ProgressBar // nil: no terminal
}

// newBar starts a bar up to total, or, for -1, one without an end.
func newBar(out io.Writer, what string, total int64) *bar {
	b := &bar{out: out}
	if isTerminal(out) {
		b.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return b
}

func (b *bar) set(n int64) {
	if b.bar != nil {
		_ = b.bar.Set64(n) // a bar that cannot be shown is no failure
	}
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Exit()
		fmt.Fprintln(b.out)
	}
}
