package seed

import (
	"fmt"
	"time"
)

// maxPerParent bounds every Range, so that the largest id of an account, the product of three of them,
// stays within PostgreSQL's bigint.
const maxPerParent = 1_000_000

// maxRows bounds the rows of one table of an account. A billion take hours; more is a slip of the pen.
const maxRows = 1_000_000_000

// Range is how many rows there may be, both ends included.
type Range struct{ Min, Max int }

// Options say what an account's data look like. Accounts made with equal Seed, Location and ranges are
// equal; Rollback does not change them.
type Options struct {
	// Seed chooses the data: another seed, other names, texts and counts. Default 1.
	Seed uint64
	// Users is the number of users of an account. Default 1–5.
	Users Range
	// Projects is the number of projects of an account. Default 1–30.
	Projects Range
	// Tasks is the number of tasks of a project. Default 1–10.
	Tasks Range
	// Subtasks is the number of subtasks of a task. Default 1–10.
	Subtasks Range
	// Location is the time zone in which the dates begin on 2020-01-01. Default, and nil: time.Local.
	Location *time.Location
}

// DefaultOptions returns the options that each field's comment names.
func DefaultOptions() Options {
	return Options{
		Seed:     1,
		Users:    Range{1, 5},
		Projects: Range{1, 30},
		Tasks:    Range{1, 10},
		Subtasks: Range{1, 10},
		Location: time.Local,
	}
}

// Validate returns an error, one line that names the range and its values, if a range is below zero,
// above 1,000,000, or has its minimum above its maximum, or if the ranges together allow an account more than
// 1,000,000,000 rows in a table.
func (o Options) Validate() error {
	ranges := []struct {
		name string
		r    Range
	}{{"users", o.Users}, {"projects", o.Projects}, {"tasks", o.Tasks}, {"subtasks", o.Subtasks}}
	for _, each := range ranges {
		if err := each.r.validate(each.name); err != nil {
			return err
		}
	}
	for _, r := range o.reaches() {
		if r.ID > maxRows {
			return fmt.Errorf("the maxima allow an account %d %s: choose smaller ones, for at most %d", r.ID, r.Table, maxRows)
		}
	}
	return nil
}

func (r Range) validate(name string) error {
	switch {
	case r.Min < 0:
		return fmt.Errorf("minimum of %s is %d: give 0 or more", name, r.Min)
	case r.Max > maxPerParent:
		return fmt.Errorf("maximum of %s is %d: give %d or less", name, r.Max, maxPerParent)
	case r.Min > r.Max:
		return fmt.Errorf("minimum of %s, %d, is above its maximum, %d: give a smaller minimum or a larger maximum",
			name, r.Min, r.Max)
	}
	return nil
}

// epoch is when the data begin: midnight of 2020-01-01 in the location.
func (o Options) epoch() time.Time {
	location := o.Location
	if location == nil {
		location = time.Local
	}
	return time.Date(2020, time.January, 1, 0, 0, 0, 0, location)
}
