// Package goroutines has goroutines that drop the context, and others that keep it.
package goroutines

import (
	"context"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"
	"noun"
)

type server struct{ db *gorm.DB }

func (s *server) dropped(ctx context.Context, db *gorm.DB) {
	db.WithContext(ctx).Find(&[]noun.Task{})
	go func() {
		db.Create(&noun.Task{}) // want `the goroutine drops the tenant's context: Create of Task by the \*gorm.DB of the function around it`
	}()
	go save(db) // want `the goroutine drops the tenant's context: Create of Task in save`
	go func() {
		s.db.WithContext(context.Background()).Create(&noun.Task{}) // want `the goroutine drops the tenant's context: context.Background\(\) carries no tenant`
	}()
	go func() {
		s.db.Create(&noun.Task{}) // want `the goroutine drops the tenant's context: Create of Task by field db`
	}()
	go db.Create(&noun.Task{})              // want `the goroutine drops the tenant's context: Create of Task`
	go s.notify(context.Background())       // want `the goroutine drops the tenant's context: context.Background\(\) carries no tenant, which Create of Task in notify needs`
	go func(db *gorm.DB) { save(db) }(s.db) // want `the goroutine drops the tenant's context: Create of Task in save`
	var group errgroup.Group
	group.Go(func() error { return s.db.Create(&noun.Task{}).Error }) // want `Create of Task by field db`
}

func save(db *gorm.DB) { db.Create(&noun.Task{}) }

func (s *server) notify(ctx context.Context) { s.db.WithContext(ctx).Create(&noun.Task{}) }

func (s *server) kept(ctx context.Context, db *gorm.DB) {
	tx := db.WithContext(ctx)
	go func() { tx.Create(&noun.Task{}) }()
	go func() { db.WithContext(context.WithoutCancel(ctx)).Create(&noun.Task{}) }()
	go save(tx)
	go s.notify(context.WithoutCancel(ctx))
	go func() { db.Create(&noun.Country{}) }()
	go func(db *gorm.DB) { db.Create(&noun.Task{}) }(tx)
}

// callerKnows is handed a *gorm.DB that may have its context already: nothing here says otherwise.
func callerKnows(db *gorm.DB) {
	db.Find(&[]noun.Task{})
	go func() { db.Create(&noun.Task{}) }()
}
