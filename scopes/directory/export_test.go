package directory

import "time"

// SetClock replaces the directory's clock.
func (d *Directory) SetClock(now func() time.Time) { d.now = now }
