package models

import (
	"gorm.io/gorm"

	"tenanted/scopes"
)

// Project belongs to an account and holds tasks.
type Project struct {
	scopes.Tenanted
	ID   int64 `gorm:"primaryKey"`
	Name string

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
	Tasks   []Task  `gorm:"foreignKey:AccountID,ProjectID;references:AccountID,ID"`
}

// Label is how the project is called in lists: "Project #3".
func (p Project) Label() string { return label("Project", p.ID) }

// ProjectOrder is an order of projects.
type ProjectOrder string

// The orders of projects. All end with name and id.
const (
	ProjectsByName ProjectOrder = "name"
	ProjectsByOpen ProjectOrder = "open" // the most open subtasks first
	ProjectsByDone ProjectOrder = "done" // the largest share done first
)

func (o ProjectOrder) columns() string {
	const byName = "projects.name, projects.id"
	switch o {
	case ProjectsByOpen:
		return "subtasks - done DESC, " + byName
	case ProjectsByDone:
		return "done * 100 / greatest(subtasks, 1) DESC, " + byName
	default:
		return byName
	}
}

// ProjectManager finds projects. Make one with [Models.Projects].
type ProjectManager struct {
	db     *gorm.DB
	search string
}

// ProjectRow is a project with what it holds.
type ProjectRow struct {
	Project `gorm:"embedded"`
	Tasks   int64
	Progress
	Total Progress `gorm:"embedded;embeddedPrefix:total_"` // of all the list's projects
}

// Search returns the manager of those projects whose names match the words of text, as in [SubtaskFilter]. An empty
// text is no condition.
func (m ProjectManager) Search(text string) ProjectManager {
	m.search = text
	return m
}

// Get returns one project, or [ErrNotFound].
func (m ProjectManager) Get(id int64) (p Project, err error) {
	return p, m.db.Where("id = ?", id).Take(&p).Error
}

// Names returns the first projects by name, with their ids and names only. more says that there are further ones. The
// rows are scanned here, as those of [SubtaskManager.Page] are, of whose pages they are a part.
func (m ProjectManager) Names(limit int) (projects []Project, more bool, err error) {
	rows, err := m.db.Model(&Project{}).Select("id, name").Order(ProjectsByName.columns()).Limit(limit + 1).Rows()
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var p Project
		if err := rows.Scan(&p.ID, &p.Name); err != nil {
			return nil, false, err
		}
		projects = append(projects, p)
	}
	if len(projects) > limit {
		return projects[:limit], true, rows.Err()
	}
	return projects, false, rows.Err()
}

// Page returns a page of projects, each with its progress. The number may be LastPage. It returns a [*PageError] if
// there is no such page.
func (m ProjectManager) Page(order ProjectOrder, number, size int) (rows []ProjectRow, page Page, err error) {
	var total int64
	if err := counted(m.db, m.filtered(), CountLimit).Scan(&total).Error; err != nil {
		return nil, page, err
	}
	if page, err = NewPage(number, size, total); err != nil {
		return nil, page, err
	}
	return rows, page, page.window(m.withProgress(), order.columns()).Find(&rows).Error
}

func (m ProjectManager) filtered() *gorm.DB {
	query := m.db.Model(&Project{})
	if m.search != "" {
		query = query.Where(matchesWords("to_tsvector('simple', projects.name)"), m.search)
	}
	return query
}

// withProgress adds up subtasks by task, and tasks by project.
func (m ProjectManager) withProgress() *gorm.DB {
	subtasks := m.db.Model(&Subtask{}).Group("account_id, task_id").
		Select("account_id, task_id, count(*) AS subtasks, count(*) FILTER (WHERE complete) AS done")
	tasks := m.db.Model(&Task{}).Group("tasks.account_id, project_id").
		Select("tasks.account_id, project_id, count(*) AS tasks, coalesce(sum(s.subtasks), 0)::bigint AS subtasks, coalesce(sum(s.done), 0)::bigint AS done").
		Joins("LEFT JOIN (?) AS s ON s.account_id = tasks.account_id AND s.task_id = tasks.id", subtasks)
	progress := m.filtered().Joins("LEFT JOIN (?) AS t ON t.account_id = projects.account_id AND t.project_id = projects.id", tasks).
		Select("projects.*, coalesce(t.tasks, 0) AS tasks, coalesce(t.subtasks, 0) AS subtasks, coalesce(t.done, 0) AS done, " +
			"sum(t.subtasks) OVER () AS total_subtasks, sum(t.done) OVER () AS total_done")
	return m.db.Table("(?) AS projects", progress)
}
