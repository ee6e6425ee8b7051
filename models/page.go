package models

import (
	"fmt"

	"gorm.io/gorm"
)

const (
	// CountLimit is how many rows of a list are counted. Pages beyond it have no number, but for the last one: counting
	// and numbering cost the same for a list of any length.
	CountLimit = 100_000
	// SearchLimit is how many rows are counted of a search for subtasks, instead of CountLimit: each match is looked up in
	// the table, which takes ten times as long as counting along an index.
	SearchLimit = 10_000
	// LastPage stands for the last page, whatever its number.
	LastPage = 0
	// nearRows is how far from the beginning a page is read before it is known how long the list is.
	nearRows = 1_000
)

// Page says where a page stands in its list.
type Page struct {
	Number int   // from 1, or LastPage for the last page of a list with More
	Pages  int   // the highest number, at least 1
	Size   int   // rows on a full page
	Count  int64 // rows in the list, as far as they are counted: at most CountLimit, or SearchLimit
	More   bool  // the list has more rows than Count

	// Of counts the open and the done rows of a list of subtasks, whichever of them it shows. Nil: they are more than are counted, or
	// it is no such list.
	Of *Progress
}

// PageError says that a list has no page of a number.
type PageError struct {
	Page  // the highest numbered one
	Asked int
}

func (e *PageError) Error() string {
	return fmt.Sprintf("no page %d: the highest number is %d", e.Asked, e.Pages)
}

// NewPage returns where a page stands in a list in which total rows were counted, at most CountLimit and one. The number
// may be LastPage. It returns a [*PageError] if there is no such page.
func NewPage(number, size int, total int64) (Page, error) {
	return newPage(number, size, total, CountLimit)
}

// newPage is NewPage of a list in which at most limit rows and one were counted.
func newPage(number, size int, total int64, limit int) (Page, error) {
	p := Page{Number: number, Size: size, Count: min(total, int64(limit)), More: total > int64(limit)}
	p.Pages = max(1, int((p.Count+int64(size)-1)/int64(size)))
	if number == LastPage && !p.More {
		p.Number = p.Pages
	}
	if p.Number > p.Pages {
		p.Number = p.Pages
		return p, &PageError{Page: p, Asked: number}
	}
	return p, nil
}

// Offset returns how many rows come before the page. It is for pages with a number.
func (p Page) Offset() int { return (p.Number - 1) * p.Size }

// window returns the page's rows of an ordered query. A page in the second half is read from the end, since OFFSET
// reads the rows that it leaves out.
func (p Page) window(query *gorm.DB, order string) *gorm.DB {
	switch offset, count := p.Offset(), int(p.Count); {
	case p.Number == LastPage:
		return query.Order(reversed(order)).Limit(p.Size)
	case p.More || offset <= count/2:
		return p.fromStart(query, order)
	default:
		rows := min(p.Size, count-offset)
		return query.Order(reversed(order)).Limit(rows).Offset(count - offset - rows)
	}
}

// fromStart returns the page's rows of an ordered query, whatever the count.
func (p Page) fromStart(query *gorm.DB, order string) *gorm.DB {
	return query.Order(order).Limit(p.Size).Offset(p.Offset())
}

// counted returns the query that counts the rows of another, at most limit and one.
func counted(db, query *gorm.DB, limit int) *gorm.DB {
	return db.Table("(?) AS counted", query.Select("1").Limit(limit+1)).Select("count(*)")
}
