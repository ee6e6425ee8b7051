package models

import (
	"gorm.io/gorm"

	"tenanted/scopes"
)

// Project belongs to an account and holds tasks.
type Project struct {
	scopes.Tenanted
	ID      int64 `gorm:"primaryKey"`
	Name    string
	Version int `gorm:"default:1"` // another one after each edit

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

// ProjectInput is what people say of a project.
type ProjectInput struct{ Name string }

func (in *ProjectInput) check() error {
	wrong := fields{}
	wrong.name(&in.Name)
	return wrong.err()
}

// Create makes a project. A request that is sent again with the same key makes no other one: see [RequestKey]. Errors are an
// [*InvalidError] and [ErrKeyUsed].
func (m ProjectManager) Create(in ProjectInput, key string) (p Project, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return p, err
	}
	if err := in.check(); err != nil {
		return p, err
	}
	id, err := createOnce(m.db, key, in, func(tx *gorm.DB) (int64, error) {
		made := Project{Name: in.Name}
		err := tx.Create(&made).Error
		return made.ID, err
	})
	if err != nil {
		return p, err
	}
	return m.Get(id)
}

// Update changes a project that has a version still. Errors are [ErrNotFound], a [*ConflictError] and an [*InvalidError].
func (m ProjectManager) Update(id int64, version int, in ProjectInput) (p Project, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return p, err
	}
	if err := in.check(); err != nil {
		return p, err
	}
	return update(m.db, id, version, map[string]any{"name": in.Name}, m.Get)
}

// Dependents counts what belongs to a project.
func (m ProjectManager) Dependents(id int64) (d Dependents, err error) {
	tasks := m.db.Model(&Task{}).Where("project_id = ?", id)
	if err := tasks.Session(&gorm.Session{}).Count(&d.Tasks).Error; err != nil {
		return d, err
	}
	return d, m.db.Model(&Subtask{}).Where("task_id IN (?)", tasks.Select("id")).Count(&d.Subtasks).Error
}

// Delete deletes a project that has a version still; its tasks are moved to another project or deleted with it, as r says. Errors are
// [ErrNotFound], a [*ConflictError], a [*DependentsError] and, for a project to move to that is not there, an [*InvalidError].
func (m ProjectManager) Delete(id int64, version int, r Removal) error {
	if err := allowed(contextOf(m.db), DeleteProjects); err != nil {
		return err
	}
	err := m.db.Transaction(func(tx *gorm.DB) error {
		if err := hold[Project](tx, id, version, r.MoveTo, "project"); err != nil {
			return err
		}
		tasks := tx.Model(&Task{}).Where("project_id = ?", id)
		switch {
		case r.MoveTo != 0:
			values := map[string]any{"project_id": r.MoveTo, "version": gorm.Expr("version + 1")}
			if err := tasks.Updates(values).Error; err != nil {
				return err
			}
		case r.With != nil:
			if err := deleteTasks(tx, tasks.Select("id"), *r.With); err != nil {
				return err
			}
		}
		return tx.Where("id = ?", id).Delete(&Project{}).Error
	})
	if isBroken(m.db, err) {
		return dependents(m.Dependents(id))
	}
	return err
}

// deleteTasks deletes tasks, of which a query finds the ids, with their subtasks, if there are as many as said.
func deleteTasks(tx *gorm.DB, ids *gorm.DB, said Dependents) error {
	subtasks := tx.Where("task_id IN (?)", ids).Delete(&Subtask{})
	if subtasks.Error != nil {
		return subtasks.Error
	}
	tasks := tx.Where("id IN (?)", ids).Delete(&Task{})
	if tasks.Error != nil {
		return tasks.Error
	}
	if found := (Dependents{tasks.RowsAffected, subtasks.RowsAffected}); found != said {
		return &DependentsError{found}
	}
	return nil
}

func dependents(found Dependents, err error) error {
	if err != nil {
		return err
	}
	return &DependentsError{found}
}
