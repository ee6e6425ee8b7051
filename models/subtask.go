package models

import (
	"cmp"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// Subtask belongs to a task: the smallest piece of work, done or not.
type Subtask struct {
	scopes.Tenanted
	ID         int64 `gorm:"primaryKey"`
	TaskID     int64
	Name       string
	Complete   bool
	Details    string
	Version    int    `gorm:"default:1"` // another one after each edit, but not when it is marked done or open
	AssigneeID *int64 // a user, or nobody

	Task Task `gorm:"foreignKey:AccountID,TaskID;references:AccountID,ID"`
}

// Label is how the subtask is called in lists: "Subtask #112".
func (s Subtask) Label() string { return label("Subtask", s.ID) }

// Status is whether a subtask is done.
type Status string

// The statuses. AnyStatus is no condition.
const (
	AnyStatus Status = ""
	Open      Status = "open"
	Done      Status = "done"
)

// SubtaskFilter says which subtasks a manager finds. The zero value means all that the context may see.
type SubtaskFilter struct {
	Search   string // words of the name, of four letters or more also their beginnings; empty is no condition
	Status   Status
	Project  int64 // 0: of all projects
	Task     int64 // 0: of all tasks
	Assignee int64 // a user; 0: whoever
}

// SubtaskOrder is an order of subtasks.
type SubtaskOrder string

// The orders of subtasks. Each is the order of an index.
const (
	ByName SubtaskOrder = "name"
	ByTask SubtaskOrder = "task"
	Newest SubtaskOrder = "newest" // not over all tenants, which have no index for it
)

// columns name the account too, so that the order is the same one over all tenants. Within a tenant it is a constant,
// which PostgreSQL leaves out.
func (o SubtaskOrder) columns() string {
	switch o {
	case ByTask:
		return "subtasks.account_id, subtasks.task_id, subtasks.id"
	case Newest:
		return "subtasks.id DESC, subtasks.account_id"
	default:
		return "subtasks.name, subtasks.account_id, subtasks.id"
	}
}

// SubtaskManager finds and changes subtasks. Make one with [Models.Subtasks].
type SubtaskManager struct {
	db     *gorm.DB
	filter SubtaskFilter
}

// Filter returns the manager of those subtasks that f describes.
func (m SubtaskManager) Filter(f SubtaskFilter) SubtaskManager {
	m.filter = f
	return m
}

// Get returns one subtask, or [ErrNotFound].
func (m SubtaskManager) Get(id int64) (s Subtask, err error) {
	return s, m.filtered().Where("id = ?", id).Take(&s).Error
}

// WithParents returns one subtask with its task and project, or [ErrNotFound].
func (m SubtaskManager) WithParents(id int64) (s Subtask, err error) {
	keys := m.filtered().Select("account_id, id, 0 AS total, 0 AS everything, 0 AS done").Where("id = ?", id)
	rows, _, err := m.read(ByName, keys, 1)
	if err != nil || len(rows) == 0 {
		return s, cmp.Or(err, ErrNotFound)
	}
	return rows[0], nil
}

// SetComplete marks a subtask done or open. It returns [ErrNotFound] if there is none of that id.
func (m SubtaskManager) SetComplete(id int64, done bool) error {
	if err := allowed(m.db.Statement.Context, EditWork); err != nil {
		return err
	}
	return m.filtered().Scopes(scopes.RequireRows).Where("id = ?", id).Update("complete", done).Error
}

// limit is how many rows are counted.
func (m SubtaskManager) limit() int {
	if m.filter.Search != "" {
		return SearchLimit
	}
	return CountLimit
}

// counts is how many rows there are.
type counts struct {
	Total      int64 // of the filter
	Everything int64 // of the filter without its status
	Done       int64 // of those
}

// page returns where a page stands.
func (n counts) page(m SubtaskManager, number, size int) (Page, error) {
	p, err := newPage(number, size, n.Total, m.limit())
	if n.Everything <= int64(m.limit()) {
		p.Of = &Progress{Subtasks: n.Everything, Done: n.Done}
	}
	return p, err
}

// The counts in SQL, of a table of that name.
const countColumns = "(SELECT everything FROM counts) AS everything, (SELECT done FROM counts) AS done"

// counting returns the query that counts the rows of whatever status, at most the limit and one, and the done ones of them. Without other
// conditions it names an order, whose index has all that is needed: PostgreSQL would read the table from its beginning, four times as
// many pages.
func (m SubtaskManager) counting() *gorm.DB {
	any := m
	any.filter.Status = AnyStatus
	query := any.filtered().Select("complete").Limit(m.limit() + 1)
	if any.filter == (SubtaskFilter{}) {
		query = query.Order(ByTask.columns())
	}
	return m.db.Table("(?) AS counted", query).Select("count(*) AS everything, count(*) FILTER (WHERE complete) AS done")
}

// total returns how many rows there are of the filter, in SQL that finds the counts: of a status they follow from the counts of all, unless
// there are more than the limit. Then those of the status are counted.
func (m SubtaskManager) total() (sql string, args []any) {
	if m.filter.Status == AnyStatus {
		return "(SELECT everything FROM counts) AS total", nil
	}
	number := map[Status]string{Done: "done", Open: "everything - done"}[m.filter.Status]
	query := m.filtered()
	if (m.filter == SubtaskFilter{Status: m.filter.Status}) {
		query = query.Order(ByTask.columns())
	}
	return "(SELECT CASE WHEN everything <= ? THEN " + number + " ELSE (?) END FROM counts) AS total", []any{m.limit(), counted(m.db, query, m.limit())}
}

// Locate returns where a page stands in the list. It returns a [*PageError] if there is no such page.
func (m SubtaskManager) Locate(number, size int) (Page, error) {
	var n counts
	total, args := m.total()
	err := m.db.Raw("WITH counts AS MATERIALIZED (?) SELECT "+total+", "+countColumns, append([]any{m.counting()}, args...)...).Scan(&n).Error
	if err != nil {
		return Page{}, err
	}
	return n.page(m, number, size)
}

// Page returns a page of subtasks with the task and project of each. The number may be LastPage. It returns a
// [*PageError] if there is no such page.
//
// A page near the beginning, and one of a search that few rows match, takes one statement, unless it is empty; another page takes two: how
// it is read depends on the count.
func (m SubtaskManager) Page(order SubtaskOrder, number, size int) ([]Subtask, Page, error) {
	near := Page{Number: number, Size: size}
	switch {
	case m.filter.Search != "":
		return m.search(order, near)
	case number != LastPage && near.Offset() < nearRows:
		rows, n, err := m.read(order, m.nearKeys(order, near), size)
		if err != nil {
			return nil, near, err
		}
		if n.Total > 0 {
			page, err := n.page(m, number, size)
			return rows, page, err
		}
	}
	page, err := m.Locate(number, size)
	if err != nil || page.Count == 0 {
		return nil, page, err
	}
	return m.at(order, page)
}

// search finds all matches first and sorts them, since there may be few: PostgreSQL would expect to find enough of them along
// the index of the order, and where there are none read all of it. Of more matches than the limit PostgreSQL has statistics,
// so that it chooses well between the two, and the page is read as any other.
func (m SubtaskManager) search(order SubtaskOrder, page Page) ([]Subtask, Page, error) {
	rows, n, err := m.read(order, m.foundKeys(order, page), page.Size)
	if err != nil {
		return nil, page, err
	}
	tooMany := n.Everything > int64(m.limit())
	if len(rows) > 0 && !tooMany {
		page, err := n.page(m, page.Number, page.Size)
		return rows, page, err
	}
	if tooMany && m.filter.Status == AnyStatus {
		page, err = n.page(m, page.Number, page.Size)
	} else {
		page, err = m.Locate(page.Number, page.Size)
	}
	if err != nil || page.Count == 0 {
		return nil, page, err
	}
	return m.at(order, page)
}

// at reads a page that is known to be there.
func (m SubtaskManager) at(order SubtaskOrder, page Page) ([]Subtask, Page, error) {
	keys := page.window(m.filtered().Select("account_id, id, 0 AS total, 0 AS everything, 0 AS done"), order.columns())
	rows, _, err := m.read(order, keys, page.Size)
	return rows, page, err
}

// nearKeys returns the query for the keys of a page's rows, each with the counts.
func (m SubtaskManager) nearKeys(order SubtaskOrder, page Page) *gorm.DB {
	total, args := m.total()
	keys := page.fromStart(m.filtered().Select("account_id, id, "+total+", "+countColumns, args...), order.columns())
	return m.db.Raw("WITH counts AS MATERIALIZED (?) ?", m.counting(), keys)
}

// foundKeys is nearKeys of a search. If more rows match than the limit, it is of no use.
func (m SubtaskManager) foundKeys(order SubtaskOrder, page Page) *gorm.DB {
	any := m
	any.filter.Status = AnyStatus
	found := any.filtered().Select("account_id, id, task_id, name, complete").Limit(m.limit() + 1)
	where := map[Status]string{AnyStatus: "", Done: " WHERE complete", Open: " WHERE NOT complete"}[m.filter.Status]
	sql := "WITH subtasks AS MATERIALIZED (?), counts AS (SELECT count(*) AS everything, count(*) FILTER (WHERE complete) AS done FROM subtasks) " +
		"SELECT account_id, id, (SELECT count(*) FROM subtasks" + where + ") AS total, " + countColumns + " FROM subtasks" + where + " ORDER BY "
	if page.Number == LastPage {
		return m.db.Raw(sql+reversed(order.columns())+" LIMIT (SELECT (greatest(count(*), 1) - 1) % ? + 1 FROM subtasks"+where+")", found, page.Size)
	}
	return m.db.Raw(sql+order.columns()+" LIMIT ? OFFSET ?", found, page.Size, page.Offset())
}

// What a row of a list has, of the subtask and of what it belongs to. The joins are by whole keys, which begin with the
// account, so no condition on the joined tables is needed.
const (
	rowColumns = "subtasks.account_id, subtasks.id, subtasks.task_id, subtasks.name, subtasks.complete, subtasks.details, " +
		"subtasks.version, subtasks.assignee_id, tasks.name, tasks.project_id, projects.name, page.total, page.everything, page.done"
	rowJoins = "JOIN tasks ON tasks.account_id = subtasks.account_id AND tasks.id = subtasks.task_id " +
		"JOIN projects ON projects.account_id = tasks.account_id AND projects.id = tasks.project_id"
)

// read returns the rows of the keys, size at most, and the counts that came with them. The keys are found before anything is joined,
// so nothing is joined for the rows before the page, and PostgreSQL keeps one plan for all pages. The rows are scanned
// here, without GORM's reflection: this is the page that is asked for most.
func (m SubtaskManager) read(order SubtaskOrder, keys *gorm.DB, size int) (subtasks []Subtask, n counts, err error) {
	rows, err := m.db.Model(&Subtask{}).Select(rowColumns).
		Joins("JOIN (?) AS page ON page.account_id = subtasks.account_id AND page.id = subtasks.id "+rowJoins, keys).
		Order(order.columns()).Rows()
	if err != nil {
		return nil, n, err
	}
	defer rows.Close()
	subtasks = make([]Subtask, 0, size)
	for rows.Next() {
		var s Subtask
		err := rows.Scan(&s.AccountID, &s.ID, &s.TaskID, &s.Name, &s.Complete, &s.Details, &s.Version, &s.AssigneeID,
			&s.Task.Name, &s.Task.ProjectID, &s.Task.Project.Name, &n.Total, &n.Everything, &n.Done)
		if err != nil {
			return nil, n, err
		}
		s.Task.AccountID, s.Task.ID = s.AccountID, s.TaskID
		s.Task.Project.AccountID, s.Task.Project.ID = s.AccountID, s.Task.ProjectID
		subtasks = append(subtasks, s)
	}
	return subtasks, n, rows.Err()
}

// filtered returns a query for the subtasks of the filter. The conditions are on the subtask's own columns, so that
// counting joins nothing.
func (m SubtaskManager) filtered() *gorm.DB {
	query := m.db.Model(&Subtask{})
	if m.filter.Status != AnyStatus {
		query = query.Where("subtasks.complete = ?", m.filter.Status == Done)
	}
	if m.filter.Search != "" {
		query = query.Where(matchesWords("subtasks.words"), m.filter.Search)
	}
	if m.filter.Project != 0 {
		tasks := m.db.Model(&Task{}).Select("id").Where("project_id = ?", m.filter.Project)
		query = query.Where("subtasks.task_id IN (?)", tasks)
	}
	if m.filter.Task != 0 {
		query = query.Where("subtasks.task_id = ?", m.filter.Task)
	}
	if m.filter.Assignee != 0 {
		query = query.Where("subtasks.assignee_id = ?", m.filter.Assignee)
	}
	return query
}

// SubtaskInput is what people say of a subtask.
type SubtaskInput struct {
	Name, Details string
	Task          int64
	Assignee      int64 // 0: nobody
}

func (in *SubtaskInput) check(db *gorm.DB) error {
	wrong := fields{}
	wrong.name(&in.Name)
	wrong.details(&in.Details)
	if err := wrong.exists(db, FieldTask, "task", &Task{}, in.Task); err != nil {
		return err
	}
	if in.Assignee != 0 {
		if err := wrong.exists(db, FieldAssignee, "user", &User{}, in.Assignee); err != nil {
			return err
		}
	}
	return wrong.err()
}

func (in SubtaskInput) assignee() *int64 {
	if in.Assignee == 0 {
		return nil
	}
	return &in.Assignee
}

// Create makes a subtask, which is open. A request that is sent again with the same key makes no other one: see [RequestKey]. Errors are
// an [*InvalidError] and [ErrKeyUsed].
func (m SubtaskManager) Create(in SubtaskInput, key string) (s Subtask, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return s, err
	}
	if err := in.check(m.db); err != nil {
		return s, err
	}
	id, err := createOnce(m.db, key, in, func(tx *gorm.DB) (int64, error) {
		made := Subtask{Name: in.Name, Details: in.Details, TaskID: in.Task, AssigneeID: in.assignee()}
		err := tx.Omit("Task").Create(&made).Error
		return made.ID, err
	})
	if err != nil {
		return s, in.recheck(m.db, err)
	}
	return m.WithParents(id)
}

// Update changes a subtask that has a version still. Errors are [ErrNotFound], a [*ConflictError] and an [*InvalidError].
func (m SubtaskManager) Update(id int64, version int, in SubtaskInput) (s Subtask, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return s, err
	}
	if err := in.check(m.db); err != nil {
		return s, err
	}
	values := map[string]any{"name": in.Name, "details": in.Details, "task_id": in.Task, "assignee_id": in.assignee()}
	s, err = update(m.db, id, version, values, m.WithParents)
	return s, in.recheck(m.db, err)
}

// recheck says what went away between check and the writing that failed for it.
func (in SubtaskInput) recheck(db *gorm.DB, err error) error {
	if isBroken(db, err) {
		if wrong := in.check(db); wrong != nil {
			return wrong
		}
	}
	return err
}

// Delete deletes a subtask that has a version still. Errors are [ErrNotFound] and a [*ConflictError].
func (m SubtaskManager) Delete(id int64, version int) error {
	if err := allowed(contextOf(m.db), DeleteWork); err != nil {
		return err
	}
	deleted := m.db.Where("id = ? AND version = ?", id, version).Delete(&Subtask{})
	if deleted.Error != nil || deleted.RowsAffected > 0 {
		return deleted.Error
	}
	now, err := m.WithParents(id)
	if err != nil {
		return err
	}
	return &ConflictError{now}
}
