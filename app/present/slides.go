package present

import (
	"fmt"
	"strings"

	"tenanted/app/talk"
)

// slide is a chapter with what it shows.
type slide struct {
	Chapter
	number      int
	experiments []talk.Experiment
	rows        []Row
}

// slides returns the chapters with their experiments and tables.
func slides() ([]slide, error) {
	figures, err := Figures()
	if err != nil {
		return nil, err
	}
	var all []slide
	for i, c := range Chapters() {
		s := slide{Chapter: c, number: i + 1}
		for _, name := range c.Experiments {
			e, ok := talk.Find(name)
			if !ok {
				return nil, fmt.Errorf("slide %s: there is no experiment %s", c.Name, name)
			}
			s.experiments = append(s.experiments, e)
		}
		switch {
		case c.matrix:
			s.rows = Matrix()
		case c.figures:
			s.rows = figures
		}
		all = append(all, s)
	}
	return all, nil
}

// span is a part of a text: code, or not.
type span struct {
	text string
	code bool
}

// spans splits a text at its backquotes.
func spans(text string) (parts []span) {
	for i, part := range strings.Split(text, "`") {
		if part != "" {
			parts = append(parts, span{part, i%2 == 1})
		}
	}
	return parts
}

// clock writes seconds as minutes and seconds.
func clock(seconds int) string { return fmt.Sprintf("%d:%02d", seconds/60, seconds%60) }

// until returns when a slide is to begin.
func until(all []slide, number int) (seconds int) {
	for _, s := range all[:number-1] {
		seconds += s.Seconds
	}
	return seconds
}

// layerFields are the switches of an experiment's form.
func layerFields(on talk.Layers) []layerField {
	return []layerField{
		{"scope", "scope", on.Scope}, {"session", "session", on.Session}, {"keys", "composite keys", on.Keys}, {"rls", "row-level security", on.RLS},
	}
}

type layerField struct {
	name, label string
	on          bool
}

// verdict says in a few words how a run ended, and whether a layer stopped it.
func verdict(r run) (text string, stopped bool) {
	switch {
	case r.Stopped != talk.Nothing:
		return "Stopped by: " + string(r.Stopped), true
	case r.How != "":
		return "Nothing stopped it", false
	case len(r.Untrue) > 0:
		return "", false
	}
	return "The claim holds", true
}

// took writes how long a run took, how often it waited for the server and, where layers could be off, which were on.
func took(r run, switched bool) string {
	text := fmt.Sprintf("%.1f ms", float64(r.Took.Microseconds())/1000)
	switch r.Trips {
	case 0:
	case 1:
		text += ", one wait for the server"
	default:
		text += fmt.Sprintf(", %d waits for the server", r.Trips)
	}
	if switched {
		text += "; on: " + r.Layers.String()
	}
	return text
}

// maxSent is how many statements a slide shows.
const maxSent = 12

// shown returns the statements that a slide shows, and how many more there were.
func shown(r run) (sent []talk.Statement, more int) {
	if len(r.Sent) <= maxSent {
		return r.Sent, 0
	}
	return r.Sent[:maxSent], len(r.Sent) - maxSent
}
