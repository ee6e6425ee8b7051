package scopestest_test

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"pgregory.net/rapid"

	"tenanted/models"
)

// drawWrite draws a chain that changes rows.
func drawWrite(t *rapid.T, n noun, steps []step) chain {
	id, parent := rapid.Int64Range(1, 12).Draw(t, "id"), rapid.Int64Range(1, 7).Draw(t, "parent")
	name := rapid.SampledFrom([]string{"x", "new"}).Draw(t, "to")
	set := map[string]any{n.text: name}
	writes := []func(*gorm.DB) *gorm.DB{
		func(db *gorm.DB) *gorm.DB { return apply(db.Model(n.one(0)), steps).Updates(set) },
		func(db *gorm.DB) *gorm.DB { return apply(db.Model(n.one(0)), steps).Update(n.text, name) },
		func(db *gorm.DB) *gorm.DB {
			return apply(db.Model(n.one(0)), steps).UpdateColumn(n.text, gorm.Expr(n.text+" || '!'"))
		},
		func(db *gorm.DB) *gorm.DB { return apply(db.Model(n.one(id)), steps).UpdateColumns(set) },
		func(db *gorm.DB) *gorm.DB {
			return apply(db.Model(n.one(id)), steps).Select("*").Omit("id").Updates(set)
		},
		func(db *gorm.DB) *gorm.DB {
			sub := fresh(db).Model(n.one(0)).Select("max(" + n.text + ")")
			return apply(db.Model(n.one(0)), steps).Updates(map[string]any{n.text: sub})
		},
		func(db *gorm.DB) *gorm.DB {
			return apply(db.Session(&gorm.Session{AllowGlobalUpdate: true}).Model(n.one(0)), steps).Updates(set)
		},
		func(db *gorm.DB) *gorm.DB { return apply(db.Unscoped(), steps).Delete(n.one(0)) },
		func(db *gorm.DB) *gorm.DB { return apply(db, steps).Delete(n.one(id)) },
		func(db *gorm.DB) *gorm.DB { return apply(db, steps).Delete(n.one(0), id) },
		func(db *gorm.DB) *gorm.DB {
			rows := n.many()
			deleted := apply(db, steps).Clauses(clause.Returning{}).Delete(rows)
			return deleted
		},
		func(db *gorm.DB) *gorm.DB { return db.Create(drawn(n, id, parent, name)) },
		func(db *gorm.DB) *gorm.DB { return db.Save(drawn(n, id, parent, name)) },
		func(db *gorm.DB) *gorm.DB {
			return db.Clauses(clause.OnConflict{UpdateAll: true}).Create(drawn(n, id, parent, name))
		},
		func(db *gorm.DB) *gorm.DB {
			return db.Clauses(clause.OnConflict{DoNothing: true}).Create(drawn(n, id, parent, name))
		},
		func(db *gorm.DB) *gorm.DB {
			return db.Clauses(clause.OnConflict{
				Columns:   []clause.Column{{Name: "account_id"}, {Name: "id"}},
				DoUpdates: clause.Assignments(set),
				Where:     clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: fmt.Sprintf("%s.id > 3 or 1=1", n.table)}}},
			}).Create(drawn(n, id, parent, name))
		},
		func(db *gorm.DB) *gorm.DB { return associate(db, n, id, name) },
		func(db *gorm.DB) *gorm.DB { return generic(db, id, name) },
	}
	write := pick(t, "write", writes)
	return chain{writes: true, finish: func(db *gorm.DB) (string, error) {
		done := write(db)
		return fmt.Sprint(done.RowsAffected), done.Error
	}}
}

// drawn is a row to create or save.
func drawn(n noun, id, parent int64, name string) any {
	switch row := n.one(id).(type) {
	case *models.Project:
		row.Name = name
		row.Tasks = []models.Task{{Tenanted: mine(), ID: parent, Name: name}}
		return row
	case *models.Task:
		row.ProjectID, row.Name = parent, name
		return row
	case *models.Subtask:
		row.Name = name
		row.Task = models.Task{Tenanted: mine(), ID: parent, ProjectID: parent, Name: name}
		return row
	case *models.User:
		row.Email, row.FirstName = name, name
		return row
	default:
		panic("no such model")
	}
}

// associate uses association mode on a project's tasks.
func associate(db *gorm.DB, n noun, id int64, name string) *gorm.DB {
	association := db.Model(&models.Project{Tenanted: mine(), ID: id%4 + 1}).Association("Tasks")
	task := models.Task{Tenanted: mine(), ID: id, Name: name}
	var err error
	switch n.table {
	case "projects":
		err = association.Append(&task)
	case "tasks":
		err = association.Unscoped().Delete(&task)
	case "subtasks":
		err = association.Unscoped().Replace(&task)
	default:
		var found []models.Task
		err = association.Find(&found, "id > 2 or 1=1")
		db.RowsAffected = int64(len(found))
	}
	return &gorm.DB{Error: err, RowsAffected: db.RowsAffected}
}

// generic uses GORM's generic interface.
func generic(db *gorm.DB, id int64, name string) *gorm.DB {
	ctx := db.Statement.Context
	tasks := gorm.G[models.Task](db)
	var n int
	var err error
	switch id % 5 {
	case 0:
		n, err = tasks.Where("id > ?", id/2).Or("name = ?", name).Update(ctx, "name", name)
	case 1:
		n, err = gorm.G[models.Subtask](db).Where("id = ?\nor name = ?", id, name).Delete(ctx)
	case 2:
		n, err = count(ctx, tasks.Joins(clause.LeftJoin.Association("Project"), func(on gorm.JoinBuilder, _, _ clause.Table) error {
			on.Where("1=0 or 1=1")
			return nil
		}).Or("1=1"))
	case 3:
		n, err = count(ctx, tasks.Preload("Subtasks", func(q gorm.PreloadBuilder) error { q.Where("1=0").Or("1=1"); return nil }))
	default:
		n, err = tasks.Where("id = ?", id).Set(clause.Assignment{Column: clause.Column{Name: "name"}, Value: name}).Update(ctx)
	}
	return &gorm.DB{Error: err, RowsAffected: int64(n)}
}

// count returns how many rows and children of theirs a query finds.
func count(ctx context.Context, q interface {
	Find(context.Context) ([]models.Task, error)
}) (n int, err error) {
	found, err := q.Find(ctx)
	for _, task := range found {
		n += 1 + len(task.Subtasks)
		if task.Project.AccountID > 1 {
			n += 1000
		}
	}
	return n, err
}
