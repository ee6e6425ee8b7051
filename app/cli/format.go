package cli

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

const formatJSON = "json"

// The formats of what a command prints.
var formats = []string{"text", formatJSON}

func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", formats[0], "text, or json for programs")
}

func knownFormat(format string) error {
	if !slices.Contains(formats, format) {
		return usage("--format %s is unknown: choose text or json", format)
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
