// Package gorm has the declarations of the real one that the cases use.
package gorm

import (
	"context"
	"database/sql"
	"time"
)

type Statement struct {
	*DB
	Context context.Context
}

type DB struct {
	Error     error
	Statement *Statement
}

type Model struct {
	ID        uint `gorm:"primarykey"`
	CreatedAt time.Time
}

type Config struct{}

type Dialector interface{ Name() string }

type Session struct {
	DryRun  bool
	NewDB   bool
	Context context.Context
}

type Association struct {
	DB    *DB
	Error error
}

func Open(dialector Dialector, opts ...*Config) (*DB, error) { return nil, nil }

func (db *DB) Association(column string) *Association                         { return nil }
func (db *DB) Model(value interface{}) *DB                                    { return db }
func (db *DB) Table(name string, args ...interface{}) *DB                     { return db }
func (db *DB) Where(query interface{}, args ...interface{}) *DB               { return db }
func (db *DB) Or(query interface{}, args ...interface{}) *DB                  { return db }
func (db *DB) Select(query interface{}, args ...interface{}) *DB              { return db }
func (db *DB) Joins(query string, args ...interface{}) *DB                    { return db }
func (db *DB) Preload(query string, args ...interface{}) *DB                  { return db }
func (db *DB) Order(value interface{}) *DB                                    { return db }
func (db *DB) Limit(limit int) *DB                                            { return db }
func (db *DB) Scopes(funcs ...func(*DB) *DB) *DB                              { return db }
func (db *DB) Unscoped() *DB                                                  { return db }
func (db *DB) Raw(sql string, values ...interface{}) *DB                      { return db }
func (db *DB) Exec(sql string, values ...interface{}) *DB                     { return db }
func (db *DB) Create(value interface{}) *DB                                   { return db }
func (db *DB) Save(value interface{}) *DB                                     { return db }
func (db *DB) First(dest interface{}, conds ...interface{}) *DB               { return db }
func (db *DB) Find(dest interface{}, conds ...interface{}) *DB                { return db }
func (db *DB) Update(column string, value interface{}) *DB                    { return db }
func (db *DB) Updates(values interface{}) *DB                                 { return db }
func (db *DB) Delete(value interface{}, conds ...interface{}) *DB             { return db }
func (db *DB) Count(count *int64) *DB                                         { return db }
func (db *DB) Row() *sql.Row                                                  { return nil }
func (db *DB) Rows() (*sql.Rows, error)                                       { return nil, nil }
func (db *DB) Scan(dest interface{}) *DB                                      { return db }
func (db *DB) Pluck(column string, dest interface{}) *DB                      { return db }
func (db *DB) Transaction(f func(tx *DB) error, opts ...*sql.TxOptions) error { return f(db) }
func (db *DB) Begin(opts ...*sql.TxOptions) *DB                               { return db }
func (db *DB) Commit() *DB                                                    { return db }
func (db *DB) Session(config *Session) *DB                                    { return db }
func (db *DB) WithContext(ctx context.Context) *DB                            { return db }
func (db *DB) Debug() *DB                                                     { return db }
func (db *DB) DB() (*sql.DB, error)                                           { return nil, nil }
func (db *DB) AutoMigrate(dst ...interface{}) error                           { return nil }
func (db *DB) FindInBatches(dest interface{}, size int, f func(tx *DB, batch int) error) *DB {
	return db
}

func (a *Association) Find(out interface{}, conds ...interface{}) error { return nil }
func (a *Association) Append(values ...interface{}) error               { return nil }

type Interface[T any] interface {
	Raw(sql string, values ...interface{}) ChainInterface[T]
	Exec(ctx context.Context, sql string, values ...interface{}) error
	Create(ctx context.Context, r *T) error
	ChainInterface[T]
}

type ChainInterface[T any] interface {
	Where(query interface{}, args ...interface{}) ChainInterface[T]
	Find(ctx context.Context) ([]T, error)
	Count(ctx context.Context, column string) (int64, error)
}

func G[T any](db *DB) Interface[T] { return nil }
