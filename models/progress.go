package models

// Progress is how many subtasks there are, and how many of them are done.
type Progress struct {
	Subtasks int64
	Done     int64
}

// Open is how many are left to do.
func (p Progress) Open() int64 { return p.Subtasks - p.Done }

// Percent is the share done, from 0 to 100, rounded down, so that 100 means all. Without subtasks it is 0.
func (p Progress) Percent() int64 {
	if p.Subtasks == 0 {
		return 0
	}
	return p.Done * 100 / p.Subtasks
}
