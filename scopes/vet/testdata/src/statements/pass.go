package statements

import (
	"context"
	"net/http"
	"testing"

	"elsewhere"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"noun"
	"tenanted/scopes"
)

func (s *server) withContext(ctx context.Context, r *http.Request) {
	var tasks []noun.Task
	s.db.WithContext(ctx).Find(&tasks)
	s.db.Where("x").WithContext(r.Context()).Order("id").Find(&tasks)
	s.db.Session(&gorm.Session{Context: ctx}).Find(&tasks)
	s.db.Session(&gorm.Session{Context: ctx, NewDB: true}).Create(&noun.Task{})
	db := s.db.WithContext(ctx)
	q := db.Where("a")
	if len(tasks) > 0 {
		q = q.Where("b")
	}
	q.Find(&tasks)
	db.Where(s.db.Where("a").Or("b")).Find(&tasks) // a group of conditions, no subquery
	db.Where("id in (?)", db.Model(&noun.Task{}).Select("id")).Find(&tasks)
	tx := db.Begin()
	defer tx.Delete(&noun.Task{})
	_ = db.Model(&noun.Task{}).Association("Tags").Append(&noun.Tag{})
	func() { db.Create(&noun.Task{}) }()
}

func (s *server) sometimes(ctx context.Context) {
	db := s.db
	if ctx != nil {
		db = db.WithContext(ctx)
	}
	db.Find(&[]noun.Task{}) // one branch has the context
}

func (s *server) captured(ctx context.Context) {
	db := s.db
	db = db.WithContext(ctx)
	func() { db.Find(&[]noun.Task{}) }()
}

func assign(ctx context.Context, db **gorm.DB) { *db = (*db).WithContext(ctx) }

func (s *server) byAddress(ctx context.Context) {
	db := s.db
	assign(ctx, &db)
	db.Find(&[]noun.Task{})
}

func (s *server) callbacks(ctx context.Context) error {
	s.db.WithContext(ctx).Scopes(func(db *gorm.DB) *gorm.DB { return db.Where("x") }).Find(&[]noun.Task{})
	s.db.WithContext(ctx).FindInBatches(&[]noun.Task{}, 10, func(tx *gorm.DB, batch int) error {
		return tx.Save(&noun.Task{}).Error
	})
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return tx.Transaction(func(tx *gorm.DB) error { return tx.Create(&noun.Task{}).Error })
	})
}

type hooked struct{ noun.Task }

func (*hooked) BeforeCreate(tx *gorm.DB) error { return tx.Create(&noun.Task{}).Error }

func parameters(tx *gorm.DB) { tx.Create(&noun.Task{}) }

func caller(ctx context.Context) { parameters(global.WithContext(ctx)) }

func (s *server) tx(ctx context.Context) *gorm.DB { return s.db.WithContext(ctx) }

func (s *server) accessors(ctx context.Context, t *testing.T) {
	s.tx(ctx).Find(&[]noun.Task{})
	elsewhere.Tenant(ctx).Find(&[]noun.Task{})
	elsewhere.Fixture(t).Find(&[]noun.Task{}) // it may know a tenant
	ctx.Value("db").(*gorm.DB).Find(&[]noun.Task{})
}

// unit is given a *gorm.DB with a context, a transaction or the like: its field has one.
type unit struct{ db *gorm.DB }

func newUnit(db *gorm.DB) *unit { return &unit{db} }

func (u *unit) work() { u.db.Find(&[]noun.Task{}) }

func (s *server) units(ctx context.Context) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		newUnit(tx).work()
		return nil
	})
}

type handler struct{ db *gorm.DB }

func (s *server) forRequest(r *http.Request) handler {
	return handler{db: s.db.WithContext(r.Context())}
}

func (h handler) list() { h.db.Find(&[]noun.Task{}) }

func (s *server) filtered(id scopes.TenantID) {
	s.db.Scopes(scopes.FilterTenant(id)).Find(&[]noun.Task{})
	scopes.FilterTenant(id)(s.db).Find(&[]noun.Task{})
	s.db.Scopes(scopes.FilterCurrentTenant).Find(&[]noun.Task{}) // want `Find of Task by field db`
}

type pool map[string]*gorm.DB

func (p pool) get(name string) { p[name].Find(&[]noun.Task{}) }

type table struct{ dbs []*gorm.DB }

func (t table) each() {
	for _, db := range t.dbs {
		db.Find(&[]noun.Task{})
	}
}

func (s *server) noTenantNeeded(name string) {
	var n int
	s.db.Find(&[]noun.Country{})
	s.db.Create(&noun.Country{})
	s.db.Where("id = 1").First(&noun.Tag{})
	s.db.Preload("Other").Find(&[]noun.Tag{})
	s.db.Raw("select 1").Scan(&n)
	s.db.Exec("create table tasks (id bigint)")
	s.db.Exec("create schema " + name)
	_ = s.db.AutoMigrate(&noun.Task{})
	_ = s.db.Where("x")
	query := s.db.Model(&noun.Task{}) // nothing is sent yet
	_ = query
}

func generic[T any](db *gorm.DB) (rows []T) {
	global.Find(&rows) // T may be anything
	return rows
}

func TestPanics(t *testing.T) {
	require.Panics(t, func() { global.Find(&[]noun.Task{}) })
	require.Panics(t, func() {
		_ = global.Transaction(func(tx *gorm.DB) error { return tx.Create(&noun.Task{}).Error })
	})
	require.NotPanics(t, func() { global.Find(&[]noun.Task{}) }) // want `Find of Task by variable global`
}
