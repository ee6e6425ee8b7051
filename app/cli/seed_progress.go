package cli

import (
	"fmt"
	"io"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// progress shows how far a seed is: a line for each account if there are few, in the order of their numbers; otherwise a bar
// on a terminal, and dots elsewhere.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar
	few  bool
	next int
	held map[int]seeded // finished, but one with a lower number is not
}

func newProgress(out io.Writer, accounts int) *progress {
	p := &progress{out: out, few: accounts <= namedAccounts, held: map[int]seeded{}}
	if !p.few && isTerminal(out) {
		p.bar = progressbar.NewOptions(accounts, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("accounts"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true))
	}
	return p
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && isatty.IsTerminal(file.Fd())
}

func (p *progress) done(number int, r seeded) {
	switch {
	case p.bar != nil:
		_ = p.bar.Add(1) // a bar that cannot be shown is no failure
	case !p.few:
		fmt.Fprint(p.out, ".")
	default:
		p.held[number] = r
		for ready, ok := p.held[p.next]; ok; ready, ok = p.held[p.next] {
			fmt.Fprintf(p.out, "%s %s\n", ready.tenant.Slug, ready.tenant.Name)
			p.next++
		}
	}
}

// end ends the line of the dots or the bar.
func (p *progress) end() {
	if !p.few {
		fmt.Fprintln(p.out)
	}
}
