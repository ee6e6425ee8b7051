// Package landmarks finds a page of the list of all tenants' subtasks, by name, without counting the rows before
// it. OFFSET walks over every row that it leaves out, which in the middle of a million takes a quarter of a second.
//
// A landmark is the key of every 500th row of the list, kept in memory: some 70 bytes for 500 rows. A page
// begins at the landmark before it, and PostgreSQL walks at most 500 entries of the index on (name, account_id, id),
// however long the list is. The landmarks come from one walk over that index, a third of a second for a
// million rows.
//
// What is guaranteed: rows are read from the database each time. Only the numbering is remembered: for one second
// and 20 times as long as the walk took (7 s for a million rows) after the walk, at most twice that. In that
// time a row that comes in between two landmarks may push another off the end of a page into no page, and one
// that goes lets another show on two; the rows behind the last landmark are counted each time, so a list of up
// to 500 rows is never off.
//
// How it fails: when the walk does, and no numbering is left, with the walk's error.
package landmarks

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"
)

// Step is the number of rows from one landmark to the next. A page's size must divide it, so that no page
// reaches past a landmark.
const Step = 500

// maxTail bounds the rows behind the last landmark that are counted each time. Past it they wait for the
// next walk.
const maxTail = 2 * Step

// walkTime bounds a walk, which no request's end stops.
const walkTime = time.Minute

// List numbers the subtasks of all tenants. It may be used by several goroutines at once.
type List struct {
	flight  singleflight.Group
	current atomic.Pointer[landmarks]
}

// key is a row's place in the list.
type key struct {
	Name      string
	AccountID int64
	ID        int64
}

// landmarks are the keys of rows 0, Step, 2×Step and so on; the first stands before whatever row comes first.
type landmarks struct {
	keys  []key
	ended time.Time
	took  time.Duration
}

// Numbering says which row is where, as the landmarks have it.
type Numbering struct {
	keys []key
	// Count is the number of rows in the list.
	Count int64
}

// Number returns the numbering. The context must be one from scopes.AllTenants; db carries it to the owner's
// database.
func (l *List) Number(ctx context.Context, db *gorm.DB) (Numbering, error) {
	marks, err := l.landmarks(ctx, db)
	if err != nil {
		return Numbering{}, err
	}
	last := len(marks.keys) - 1
	k := marks.keys[last]
	var tail int64
	if err := db.WithContext(ctx).Raw(tailSQL, k.Name, k.AccountID, k.ID).Scan(&tail).Error; err != nil {
		return Numbering{}, fmt.Errorf("count the end of the list: %w", err)
	}
	return Numbering{keys: marks.keys, Count: int64(last)*Step + tail}, nil
}

// Page returns the query for the keys, account_id and id, of the rows of one page, for a JOIN. The limit must
// divide Step, and offset be a multiple of it.
func (n Numbering) Page(tx *gorm.DB, offset, limit int) *gorm.DB {
	if limit < 1 || Step%limit != 0 || offset < 0 || offset%limit != 0 {
		panic(fmt.Sprintf("landmarks: no page of %d rows at %d", limit, offset))
	}
	if int64(offset) >= n.Count {
		return tx.Raw(noneSQL)
	}
	// Behind the last landmark there may be more than Step rows.
	at := min(offset/Step, len(n.keys)-1)
	k := n.keys[at]
	return tx.Raw(fmt.Sprintf(pageSQL, maxTail, limit), k.Name, k.AccountID, k.ID, offset-at*Step)
}

// landmarks returns landmarks that are good enough, and has them renewed when they are due.
func (l *List) landmarks(ctx context.Context, db *gorm.DB) (*landmarks, error) {
	marks := l.current.Load()
	if marks.goodFor(1) {
		return marks, nil
	}
	renewed := l.flight.DoChan("", func() (any, error) { return l.walk(context.WithoutCancel(ctx), db) })
	if marks.goodFor(2) {
		return marks, nil
	}
	select {
	case r := <-renewed:
		marks, _ = r.Val.(*landmarks)
		return marks, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// goodFor reports whether the landmarks are younger than so many times the age at which they are due.
func (m *landmarks) goodFor(times time.Duration) bool {
	return m != nil && time.Since(m.ended) < times*(time.Second+20*m.took)
}

func (l *List) walk(ctx context.Context, db *gorm.DB) (*landmarks, error) {
	ctx, cancel := context.WithTimeout(ctx, walkTime)
	defer cancel()
	marks := &landmarks{}
	began := time.Now()
	if err := db.WithContext(ctx).Raw(walkSQL).Scan(&marks.keys).Error; err != nil {
		return nil, fmt.Errorf("number the list: %w", err)
	}
	marks.ended = time.Now()
	marks.took = marks.ended.Sub(began)
	l.current.Store(marks)
	return marks, nil
}
