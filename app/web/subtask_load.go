package web

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"tenanted/app/web/landmarks"
	"tenanted/models"
)

// loadSubtasks counts the rows of the view and reads one page of them, with the names of what they belong to.
func (s *site) loadSubtasks(ctx context.Context, v subtaskView) (subtaskPage, error) {
	db := s.DB.WithContext(ctx)
	keys, pages, err := s.findPage(ctx, db, v)
	if err != nil {
		return subtaskPage{}, err
	}
	v.Page = pages.Page
	page := subtaskPage{View: v, Pages: pages}
	err = db.Joins("JOIN (?) AS page ON page.account_id = subtasks.account_id AND page.id = subtasks.id", keys).
		Joins("Task.Project.Account").Order(v.order()).Find(&page.subtasks).Error
	if err != nil {
		return subtaskPage{}, err
	}
	if !v.All {
		page.Projects, err = s.projectChoices(db, v)
	}
	return page, err
}

// findPage places the page and returns the query for its rows' keys. The keys come first, so that nothing is joined
// for the rows before the page, and PostgreSQL keeps one plan for all pages (docs/benchmarks.md).
func (s *site) findPage(ctx context.Context, db *gorm.DB, v subtaskView) (keys *gorm.DB, pages pagination, err error) {
	if v.Numbered() {
		var numbering landmarks.Numbering
		if numbering, err = s.landmarks.Number(ctx, s.DB); err != nil {
			return nil, pages, err
		}
		if pages, err = paginate(v.Page, v.Size, numbering.Count, v.url); err != nil {
			return nil, pages, err
		}
		return numbering.Page(db, pages.Offset(), pages.Size), pages, nil
	}
	count, err := v.count(db)
	if err != nil {
		return nil, pages, err
	}
	if pages, err = paginate(v.Page, v.Size, count, v.url); err != nil {
		return nil, pages, err
	}
	return v.keys(db, pages), pages, nil
}

// count returns the number of rows in the view. All of a tenant's are counted by the database as they come and go.
func (v subtaskView) count(db *gorm.DB) (count int64, err error) {
	if v.All || v.Filtered() {
		return count, v.filter(db, db.Model(&models.Subtask{})).Count(&count).Error
	}
	return count, db.Model(&models.SubtaskCount{}).Select("coalesce(sum(change), 0)::bigint").Scan(&count).Error
}

// keys returns the query for the keys of a page's rows. A page in the second half is found from the end, since OFFSET
// reads the rows that it leaves out.
func (v subtaskView) keys(db *gorm.DB, p pagination) *gorm.DB {
	query := v.filter(db, db.Model(&models.Subtask{}).Select("account_id", "id"))
	offset, count := p.Offset(), int(p.Count)
	if offset <= count/2 {
		return query.Order(v.order()).Limit(p.Size).Offset(offset)
	}
	rows := min(p.Size, count-offset)
	return query.Order(reversed(v.order())).Limit(rows).Offset(count - offset - rows)
}

// hasWords is true of a name that has all words of a text, of which the last may be the beginning of one. It can use the
// index on words; a text without a word is in no name.
const hasWords = `to_tsvector('simple', subtasks.name) @@ (nullif(plainto_tsquery('simple', ?)::text, '') || ':*')::tsquery`

// filter adds the view's conditions. They are on the subtask's own columns, so that counting joins nothing.
func (v subtaskView) filter(db, query *gorm.DB) *gorm.DB {
	if v.Status != "" {
		query = query.Where("subtasks.complete = ?", v.Status == "done")
	}
	switch {
	case v.Search == "":
	case v.All:
		query = query.Where(hasWords, v.Search)
	default:
		query = query.Where("subtasks.name ILIKE ?", contains(v.Search))
	}
	if v.Project != 0 {
		tasks := db.Model(&models.Task{}).Select("id").Where("project_id = ?", v.Project)
		query = query.Where("subtasks.task_id IN (?)", tasks)
	}
	return query
}

// order is by the view's key, and then by what makes it one order only.
func (v subtaskView) order() string {
	switch {
	case v.Sort == "task":
		return "subtasks.account_id, subtasks.task_id, subtasks.id"
	case v.Sort == "newest":
		return "subtasks.id DESC, subtasks.account_id"
	case v.All:
		return "subtasks.name, subtasks.account_id, subtasks.id"
	}
	return "subtasks.name, subtasks.id"
}

// reversed returns an order of [subtaskView.order] from the other end.
func reversed(order string) string {
	columns := strings.Split(order, ", ")
	for i, c := range columns {
		if column, descends := strings.CutSuffix(c, " DESC"); descends {
			columns[i] = column
		} else {
			columns[i] = c + " DESC"
		}
	}
	return strings.Join(columns, ", ")
}
