// Package contexts has contexts without a tenant, and others that look alike.
package contexts

import (
	"context"
	"os/signal"
	"testing"
	"time"

	"elsewhere"
	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
	"noun"
	"tenanted/scopes"
	"tenanted/scopes/registry"
)

type server struct {
	db  *gorm.DB
	ctx context.Context
}

type key struct{}

func (s *server) background(t *testing.T) {
	var tasks []noun.Task
	s.db.WithContext(context.Background()).Find(&tasks)                     // want `context.Background\(\) carries no tenant, which Find of Task needs`
	s.db.WithContext(context.TODO()).Create(&noun.Task{})                   // want `context.TODO\(\) carries no tenant, which Create of Task needs`
	s.db.WithContext(t.Context()).Find(&tasks)                              // want `a test's Context\(\) carries no tenant`
	s.db.Session(&gorm.Session{Context: context.Background()}).Find(&tasks) // want `carries no tenant`
}

func (s *server) once() {
	db := s.db.WithContext(context.Background()) // want `carries no tenant, which Find of Task needs`
	db.Find(&[]noun.Task{})
	db.Create(&noun.Task{})
	_ = db.Transaction(func(tx *gorm.DB) error { return tx.Save(&noun.Task{}).Error })
}

func (s *server) wrapped() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx)
	defer stop()
	_, ctx = errgroup.WithContext(ctx)
	ctx = context.WithValue(ctx, key{}, 1)
	s.db.WithContext(ctx).Find(&[]noun.Task{}) // want `context.Background\(\) carries no tenant`
}

func (s *server) generics(ctx context.Context) {
	_, _ = gorm.G[noun.Task](s.db).Find(context.Background())                                  // want `carries no tenant, which Find of Task needs`
	_, _ = gorm.G[noun.Task](s.db).Where("x").Count(context.TODO(), "id")                      // want `which Count of Task needs`
	_ = gorm.G[noun.Task](s.db).Create(context.Background(), &noun.Task{})                     // want `which Create of Task needs`
	_ = gorm.G[noun.Country](s.db).Exec(context.Background(), "delete from tasks")             // want `which Exec of raw SQL needs`
	_, _ = gorm.G[noun.Summary](s.db).Raw("select name from tasks").Find(context.Background()) // want `which Find of raw SQL needs`
	_, _ = gorm.G[noun.Task](s.db.WithContext(ctx)).Find(context.Background())                 // want `which Find of Task needs`
}

func (s *server) genericSubqueries(ctx context.Context) {
	_, _ = gorm.G[noun.Task](s.db).Where("id in (?)", gorm.G[noun.Task](s.db).Where("x")).Find(ctx) // want `gorm.G of Task as a subquery gets no context`
	s.db.WithContext(ctx).Where("id in (?)", gorm.G[noun.Task](s.db)).Find(&[]noun.Task{})          // want `build it with db.WithContext\(ctx\).Model\(&Task{}\)`
	_, _ = gorm.G[noun.Task](s.db).Where("id in (?)", gorm.G[noun.Country](s.db)).Find(ctx)
	_, _ = gorm.G[noun.Task](s.db).Where("id in (?)", s.db.WithContext(ctx).Model(&noun.Task{})).Find(ctx)
}

func (s *server) gin(c *gin.Context) {
	s.db.WithContext(c).Find(&[]noun.Task{}) // want `a \*gin.Context \(unlike its Request.Context\(\)\) carries no tenant`
	ctx, cancel := context.WithTimeout(c, time.Second)
	defer cancel()
	_, _ = gorm.G[noun.Task](s.db).Find(ctx) // want `a \*gin.Context`
	s.db.WithContext(c.Request.Context()).Find(&[]noun.Task{})
}

func (s *server) list(ctx context.Context) (tasks []noun.Task) {
	s.db.WithContext(ctx).Find(&tasks)
	return tasks
}

func (s *server) session(ctx context.Context) *gorm.DB { return s.db.WithContext(ctx) }

func (s *server) callers(ctx context.Context) {
	s.list(context.Background())                         // want `which Find of Task in list needs`
	s.session(context.Background()).Find(&[]noun.Task{}) // want `which Find of Task needs`
	s.list(ctx)
}

func plain(r *registry.Registry) {
	db := r.DB()
	_, _ = db.QueryContext(context.Background(), "select * from tasks") // want `which QueryContext on the registry's \*sql.DB needs`
	_, _ = db.BeginTx(context.Background(), nil)                        // want `which BeginTx on the registry's \*sql.DB needs`
	_, _ = db.Exec("delete from tasks")                                 // want `Exec on the registry's \*sql.DB takes no context, and so no tenant: call ExecContext`
	_, _ = db.Begin()                                                   // want `call BeginTx`
}

// What follows has, or may have, a tenant.

func (s *server) pass(ctx context.Context, tenant scopes.Tenant) {
	var tasks []noun.Task
	s.db.WithContext(scopes.WithTenant(context.Background(), tenant)).Find(&tasks)
	s.db.WithContext(scopes.AllTenants(context.Background(), "report")).Find(&tasks)
	s.db.WithContext(context.WithoutCancel(ctx)).Find(&tasks)
	s.db.WithContext(elsewhere.Resolve(context.Background())).Find(&tasks)
	s.db.WithContext(s.ctx).Find(&tasks)
	s.db.WithContext(as(context.Background(), 1)).Find(&tasks)
	s.list(as(context.Background(), 1))
	_, _ = gorm.G[noun.Task](s.db).Find(ctx)
	_, _ = gorm.G[noun.Country](s.db).Find(context.Background())
	s.db.WithContext(context.Background()).Find(&[]noun.Country{})
	s.db.WithContext(context.Background()).Exec("create table x (id int)")
}

func as(ctx context.Context, id scopes.TenantID) context.Context {
	return scopes.WithTenant(ctx, scopes.Tenant{ID: id})
}

func (s *server) branch(tenant scopes.Tenant, known bool) {
	ctx := context.Background()
	if known {
		ctx = scopes.WithTenant(ctx, tenant)
	}
	s.db.WithContext(ctx).Find(&[]noun.Task{})
}

func (s *server) override(ctx context.Context) {
	s.db.WithContext(context.Background()).WithContext(ctx).Find(&[]noun.Task{})
}

func passPlain(ctx context.Context, r *registry.Registry, db *gorm.DB) {
	_, _ = r.DB().QueryContext(ctx, "select * from tasks")
	_ = r.DB().PingContext(context.Background())
	other, _ := db.DB()
	_, _ = other.Exec("delete from tasks") // whose *sql.DB it is cannot be seen
}
