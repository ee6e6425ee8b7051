package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"tenanted/scopes"
)

// layers returns all layers in the order of a report. Layers of checks that the caller added come last.
func (r Report) layers() []Layer {
	all := []Layer{LayerRole, LayerSession, LayerGrants, LayerTables, LayerRLS, LayerKeys, LayerPlan, LayerBypass, LayerCitus}
	for _, c := range r.Checks {
		if !slices.Contains(all, c.Layer) {
			all = append(all, c.Layer)
		}
	}
	return all
}

// WriteText writes reports as text: for each database and each of its placements a line per layer, then the defects with their
// risks and the SQL that fixes them, then what was not checked, then the notes, and a summary. Errors are those of w.
func WriteText(w io.Writer, reports ...Report) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLACEMENT\tLAYER\tIN FORCE\tCHECKS")
	for _, r := range reports {
		for _, schema := range append([]string{""}, r.Schemas...) {
			r.writeLayers(table, schema)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		for _, status := range []Status{Defect, NotChecked, Note} {
			r.writeDetails(&text, status)
		}
	}
	fmt.Fprintf(&text, "\n%s\n", Summarize(reports...))
	_, err := io.WriteString(w, text.String())
	return err
}

// writeLayers writes the lines of one placement, or, without a schema, those of the database.
func (r Report) writeLayers(w io.Writer, schema string) {
	place := scopes.Placement{Server: r.Server, Database: r.Database, Schema: schema}
	for _, layer := range r.layers() {
		count, total := map[Status]int{}, 0
		for _, c := range r.Checks {
			if c.Layer == layer && c.Schema == schema {
				count[c.Status]++
				total++
			}
		}
		if total == 0 {
			continue
		}
		inForce, tally := "yes", plural(total, "check")
		if count[NotChecked] > 0 {
			inForce = "not checked"
			tally += fmt.Sprintf(", %d not checked", count[NotChecked])
		}
		if count[Defect] > 0 {
			inForce = "NO"
			tally += ", " + plural(count[Defect], "defect")
		}
		if count[Note] > 0 {
			tally += ", " + plural(count[Note], "note")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", place, layer, inForce, tally)
	}
}

// writeDetails writes the checks with one status.
func (r Report) writeDetails(w io.Writer, status Status) {
	for _, c := range r.Checks {
		if c.Status != status {
			continue
		}
		fmt.Fprintf(w, "\n%s %s: %s\n", strings.ToUpper(string(status)), c.ID, c.Object)
		writeItem(w, "in", scopes.Placement{Server: r.Server, Database: r.Database}.String())
		writeItem(w, "found", c.Message)
		writeItem(w, "risk", c.Risk)
		writeItem(w, "fix", c.Fix)
		if c.SafeToFix {
			writeItem(w, "", "(safe: check --fix, or audit.Fix, applies it)")
		}
	}
}

func writeItem(w io.Writer, name, text string) {
	if text == "" {
		return
	}
	fmt.Fprintf(w, "  %-6s %s\n", name, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 9)))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Summary counts the Databases and Placements of reports, all their Checks, the Defects among these, and those NotChecked.
type Summary struct {
	Result     string `json:"result"` // "in force", "not in force" or, without a defect, "not checked"
	Databases  int    `json:"databases"`
	Placements int    `json:"placements"`
	Checks     int    `json:"checks"`
	Defects    int    `json:"defects"`
	NotChecked int    `json:"not_checked"`
}

// Summarize returns the totals of reports. Without a report the result is "not checked".
func Summarize(reports ...Report) Summary {
	s := Summary{Result: "in force", Databases: len(reports)}
	for _, r := range reports {
		s.Placements += len(r.Schemas)
		s.Checks += len(r.Checks)
		s.Defects += len(r.Defects())
		s.NotChecked += len(r.NotChecked())
	}
	switch {
	case s.Defects > 0:
		s.Result = "not in force"
	case s.NotChecked > 0 || s.Checks == 0:
		s.Result = "not checked"
	}
	return s
}

// String returns the summary in one line.
func (s Summary) String() string {
	return fmt.Sprintf("%s: %s in %s and %s, %s, %d not checked", s.Result, plural(s.Checks, "check"),
		plural(s.Databases, "database"), plural(s.Placements, "placement"), plural(s.Defects, "defect"), s.NotChecked)
}

// WriteJSON writes reports as JSON: {"in_force": …, "summary": …, "databases": [reports]}, including the checks that passed. Errors
// are those of w.
func WriteJSON(w io.Writer, reports ...Report) error {
	summary := Summarize(reports...)
	all := struct {
		InForce   bool     `json:"in_force"` // and everything was checked
		Summary   Summary  `json:"summary"`
		Databases []Report `json:"databases"`
	}{summary.Result == "in force", summary, reports}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(all)
}
