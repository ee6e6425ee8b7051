package models

import (
	"errors"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// Task belongs to a project and holds subtasks.
type Task struct {
	scopes.Tenanted
	ID        int64 `gorm:"primaryKey"`
	ProjectID int64
	Name      string
	Version   int `gorm:"default:1"` // another one after each edit

	Project  Project   `gorm:"foreignKey:AccountID,ProjectID;references:AccountID,ID"`
	Subtasks []Subtask `gorm:"foreignKey:AccountID,TaskID;references:AccountID,ID"`
}

// Label is how the task is called in lists: "Task #38".
func (t Task) Label() string { return label("Task", t.ID) }

// TaskManager finds and changes tasks. Make one with [Models.Tasks].
type TaskManager struct{ db *gorm.DB }

// TaskRow is a task with its progress.
type TaskRow struct {
	Task     `gorm:"embedded"`
	Progress Progress `gorm:"embedded"`
}

// Get returns one task with its project, or [ErrNotFound].
func (m TaskManager) Get(id int64) (t Task, err error) {
	return t, m.db.Preload("Project").Where("id = ?", id).Take(&t).Error
}

// Page returns a page of a project's tasks by name, each with its progress. The number may be LastPage. It returns a [*PageError] if
// there is no such page.
func (m TaskManager) Page(project int64, number, size int) (rows []TaskRow, page Page, err error) {
	tasks := m.db.Model(&Task{}).Where("project_id = ?", project)
	var total int64
	if err := counted(m.db, tasks.Session(&gorm.Session{}), CountLimit).Scan(&total).Error; err != nil {
		return nil, page, err
	}
	if page, err = NewPage(number, size, total); err != nil {
		return nil, page, err
	}
	keys := page.window(tasks.Select("account_id, id"), "tasks.name, tasks.id")
	count := m.db.Model(&Subtask{}).Select("count(*)").Where("subtasks.task_id = tasks.id")
	done := m.db.Model(&Subtask{}).Select("count(*)").Where("subtasks.task_id = tasks.id AND subtasks.complete")
	err = m.db.Model(&Task{}).Select("tasks.*, (?) AS subtasks, (?) AS done", count, done).
		Where("(account_id, id) IN (?)", keys).Order("tasks.name, tasks.id").Find(&rows).Error
	return rows, page, err
}

// Names returns all tasks by name, with their projects, or none if there are more than the limit: no index has them in that order.
func (m TaskManager) Names(limit int) (tasks []Task, more bool, err error) {
	var found int64
	err = counted(m.db, m.db.Model(&Task{}), limit).Scan(&found).Error
	if more = found > int64(limit); more || err != nil {
		return nil, more, err
	}
	return tasks, false, m.db.Joins("Project").Order("tasks.name, tasks.id").Limit(limit).Find(&tasks).Error
}

// TaskInput is what people say of a task.
type TaskInput struct {
	Name    string
	Project int64
}

func (in *TaskInput) check(db *gorm.DB) error {
	wrong := fields{}
	wrong.name(&in.Name)
	if err := wrong.exists(db, FieldProject, "project", &Project{}, in.Project); err != nil {
		return err
	}
	return wrong.err()
}

// Create makes a task. A request that is sent again with the same key makes no other one: see [RequestKey]. Errors are an
// [*InvalidError] and [ErrKeyUsed].
func (m TaskManager) Create(in TaskInput, key string) (t Task, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return t, err
	}
	if err := in.check(m.db); err != nil {
		return t, err
	}
	id, err := createOnce(m.db, key, in, func(tx *gorm.DB) (int64, error) {
		made := Task{Name: in.Name, ProjectID: in.Project}
		err := tx.Omit("Project").Create(&made).Error
		return made.ID, err
	})
	if err != nil {
		return t, in.recheck(m.db, err)
	}
	return m.Get(id)
}

// Update changes a task that has a version still. Errors are [ErrNotFound], a [*ConflictError] and an [*InvalidError].
func (m TaskManager) Update(id int64, version int, in TaskInput) (t Task, err error) {
	if err := allowed(contextOf(m.db), EditWork); err != nil {
		return t, err
	}
	if err := in.check(m.db); err != nil {
		return t, err
	}
	t, err = update(m.db, id, version, map[string]any{"name": in.Name, "project_id": in.Project}, m.Get)
	return t, in.recheck(m.db, err)
}

// recheck says what went away between check and the writing that failed for it.
func (in TaskInput) recheck(db *gorm.DB, err error) error {
	if isBroken(db, err) {
		if wrong := in.check(db); wrong != nil {
			return wrong
		}
	}
	return err
}

// Dependents counts what belongs to a task.
func (m TaskManager) Dependents(id int64) (d Dependents, err error) {
	return d, m.db.Model(&Subtask{}).Where("task_id = ?", id).Count(&d.Subtasks).Error
}

// Delete deletes a task that has a version still; its subtasks are moved to another task or deleted with it, as r says. Errors are
// [ErrNotFound], a [*ConflictError], a [*DependentsError] and, for a task to move to that is not there, an [*InvalidError].
func (m TaskManager) Delete(id int64, version int, r Removal) error {
	if err := allowed(contextOf(m.db), DeleteWork); err != nil {
		return err
	}
	err := m.db.Transaction(func(tx *gorm.DB) error {
		if err := hold[Task](tx, id, version, r.MoveTo, "task"); err != nil {
			return err
		}
		switch {
		case r.MoveTo != 0:
			values := map[string]any{"task_id": r.MoveTo, "version": gorm.Expr("version + 1")}
			if err := tx.Model(&Subtask{}).Where("task_id = ?", id).Updates(values).Error; err != nil {
				return err
			}
		case r.With != nil:
			deleted := tx.Where("task_id = ?", id).Delete(&Subtask{})
			if found := (Dependents{Subtasks: deleted.RowsAffected}); deleted.Error != nil || found != *r.With {
				return errors.Join(deleted.Error, &DependentsError{found})
			}
		}
		return tx.Where("id = ?", id).Delete(&Task{}).Error
	})
	if isBroken(m.db, err) {
		return dependents(m.Dependents(id))
	}
	return err
}
