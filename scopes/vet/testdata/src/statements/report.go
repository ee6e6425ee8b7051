// Package statements has statements by a *gorm.DB that never saw a context, and others that look alike.
package statements

import (
	"context"
	"fmt"

	"elsewhere"
	"gorm.io/gorm"
	"noun"
	"tenanted/scopes/registry"
)

var global *gorm.DB

type server struct {
	db *gorm.DB
}

func newServer(db *gorm.DB) *server { return &server{db: db} }

type store struct{ *gorm.DB }

func (s *server) field() {
	var tasks []noun.Task
	s.db.Find(&tasks)                                             // want `Find of Task by field db, which has no context`
	s.db.Where("name = ?", "x").Order("id").Limit(3).Find(&tasks) // want `Find of Task by field db`
	s.db.First(&noun.Account{}, 1)                                // want `First of Account`
	s.db.Create(&noun.Task{})                                     // want `Create of Task`
	s.db.Save(tasks)                                              // want `Save of Task`
	s.db.Delete(&noun.Task{}, 1)                                  // want `Delete of Task`
	s.db.Model(&noun.Task{}).Where("id = 1").
		Update("name", "x") // want `Update of Task`
	s.db.Model(noun.Task{}).Updates(map[string]any{"name": "x"}) // want `Updates of Task`
	s.db.Unscoped().Debug().Find(&tasks)                         // want `Find of Task`
	s.db.Session(&gorm.Session{NewDB: true}).Find(&tasks)        // want `Find of Task`
	s.db.Begin().Create(&noun.Task{})                            // want `Create of Task`
}

func (s *server) results() (n int64, names []string) {
	var sums []noun.Summary
	s.db.Model(&noun.Task{}).Count(&n)                       // want `Count of Task`
	s.db.Model(&noun.Task{}).Pluck("name", &names)           // want `Pluck of Task`
	s.db.Model(&noun.Task{}).Select("name").Scan(&sums)      // want `Scan of Task`
	rows, err := s.db.Model(&noun.Task{}).Rows()             // want `Rows of Task`
	s.db.Table("tasks").Select("name, count(*)").Scan(&sums) // want `Scan of table "tasks"`
	s.db.Table("tasks").Count(&n)                            // want `Count of table "tasks"`
	_, _ = rows, err
	return n, names
}

func (s *server) rawSQL(column, clause string) {
	var n int
	s.db.Raw("select count(*) from tasks").Scan(&n)          // want `Scan of raw SQL`
	s.db.Exec("update tasks set name = ''")                  // want `Exec of raw SQL`
	s.db.Exec("delete from " + column)                       // want `Exec of raw SQL`
	s.db.Raw(fmt.Sprintf("select max(%s)", column)).Scan(&n) // want `Scan of raw SQL`
	_ = s.db.Raw(clause).Row()                               // want `Row of raw SQL`
}

func (s *server) relations() {
	var tags []noun.Tag
	s.db.Preload("Tasks").Find(&tags)                                    // want `Find of Task`
	s.db.Joins("Tasks").Find(&tags)                                      // want `Find of Task`
	_ = s.db.Model(&noun.Tag{}).Association("Tasks").Find(&tags)         // want `Find of Task`
	_ = s.db.Model(&noun.Task{}).Association("Tags").Append(&noun.Tag{}) // want `Append of Task`
}

func (s *server) locals(late bool) {
	db := s.db
	q := db.Where("a")
	if late {
		q = q.Where("b")
	}
	q.Find(&[]noun.Task{})        // want `Find of Task by field db`
	defer db.Delete(&noun.Task{}) // want `Delete of Task`
	func() {
		db.Create(&noun.Task{}) // want `Create of Task by field db`
	}()
}

func (s *server) transaction() error {
	return s.db.Transaction(func(tx *gorm.DB) error {
		return tx.Create(&noun.Task{}).Error // want `Create of Task by field db`
	})
}

func (s *server) subquery(ctx context.Context) {
	ids := s.db.Model(&noun.Task{}).Select("id")
	s.db.WithContext(ctx).Where("id in (?)", ids).Find(&[]noun.Task{}) // want `subquery of Task by field db`
}

func (s *server) query() *gorm.DB { return s.db.Model(&noun.Task{}) }

func openLocally() *gorm.DB {
	db, err := gorm.Open(nil)
	if err != nil {
		panic(err)
	}
	return db
}

func sources(r *registry.Registry, e *elsewhere.Store, s store) {
	global.Find(&[]noun.Task{})           // want `Find of Task by variable global`
	elsewhere.DB.Find(&[]noun.Task{})     // want `Find of Task by variable DB`
	elsewhere.Conn().Find(&[]noun.Task{}) // want `Find of Task by the result of Conn`
	e.DB.Find(&[]noun.Task{})             // want `Find of Task by field DB`
	s.Find(&[]noun.Task{})                // want `Find of Task by field DB`
	openLocally().Find(&[]noun.Task{})    // want `Find of Task by the result of Open`
	newServer(nil).query().Find(nil)      // want `Find of Task by field db`
	db, _ := r.OpenGORM(nil, nil)
	db.Find(&[]noun.Task{}) // want `Find of Task by the result of OpenGORM`
}

// The helper's caller is to blame, and so is the caller's caller.
func all(db *gorm.DB) (tasks []noun.Task) {
	db.Find(&tasks)
	return tasks
}

func some(db *gorm.DB) []noun.Task { return all(db.Where("name = 'x'")) }

func (s *server) callers() {
	all(s.db)  // want `Find of Task in all by field db`
	some(s.db) // want `Find of Task in all in some by field db`
}

var atStart = func() int64 {
	var n int64
	global.Model(&noun.Task{}).Count(&n) // want `Count of Task by variable global`
	return n
}
