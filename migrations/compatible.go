package migrations

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

var additiveLine = regexp.MustCompile(`(?m)^-- additive: (yes|no)$`)

// compatibleFrom returns the lowest version of a set at which a program can work with the set's newest tables: the one
// after which all migrations only add.
func compatibleFrom(files fs.FS, set Set) (int64, error) {
	names, err := fs.Glob(files, string(set)+"/*.sql")
	if err != nil {
		return 0, err
	}
	from := int64(0)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return 0, err
		}
		match := additiveLine.FindSubmatch(text)
		if match == nil {
			return 0, fmt.Errorf("%s does not say whether it only adds: write a line \"-- additive: yes\" or \"-- additive: no\"", path.Base(name))
		}
		if string(match[1]) == "no" {
			if from, err = goose.NumericComponent(name); err != nil {
				return 0, err
			}
		}
	}
	return from, nil
}

// compatibleComment is the comment of a version table that says from which version on a program can work with the tables.
func compatibleComment(from int64) string { return compatiblePrefix + strconv.FormatInt(from, 10) }

const compatiblePrefix = "compatible from version "

// Compatible reports whether a program that knows a set up to version newest can work with tables whose version table
// has this comment. Without a comment of ours it cannot be known, and the answer is no.
func Compatible(comment string, newest int64) bool {
	number, ok := strings.CutPrefix(comment, compatiblePrefix)
	from, err := strconv.ParseInt(number, 10, 64)
	return ok && err == nil && newest >= from
}
