package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/registry"
	"tenanted/scopes/scopestest"
)

// The models of the old program.
type (
	oldUser struct {
		ID          int64
		Email, Name string
	}
	oldProject struct {
		ID        int64
		OwnerID   int64
		Name      string
		Owner     *oldUser
		Documents []oldDocument `gorm:"foreignKey:ProjectID"`
	}
	oldDocument struct {
		ID        uuid.UUID `gorm:"default:gen_random_uuid()"`
		ProjectID int64
		Title     string
	}
)

func (oldUser) TableName() string     { return "users" }
func (oldProject) TableName() string  { return "projects" }
func (oldDocument) TableName() string { return "documents" }

// legacyTables are what the old program's AutoMigrate made, and rows.
const legacyTables = `
	create table users (id bigserial primary key, email text not null, name text, constraint uni_users_email unique (email));
	create table projects (id bigserial primary key, owner_id bigint not null, name text, constraint fk_projects_owner foreign key (owner_id) references users (id));
	create table documents (id uuid primary key default gen_random_uuid(), project_id bigint not null, title text,
		constraint fk_projects_documents foreign key (project_id) references projects (id) on delete cascade);
	create table languages (code text primary key, name text);
	create table schema_migrations (version bigint primary key);
	insert into users (email, name) select 'user' || n || '@example.com', 'User ' || n from generate_series(1, 50) n;
	insert into projects (owner_id, name) select 1 + n % 50, 'Project ' || n from generate_series(1, 500) n;
	insert into documents (project_id, title) select 1 + n % 500, 'Document ' || n from generate_series(1, 20000) n;
	insert into languages values ('en', 'English');`

var errRows = errors.New("other rows than were written")

// oldWork is what the old program does: it saves a row with children, reads it with what it is related to, changes it, and
// deletes it with its children.
func oldWork(db *gorm.DB) error {
	user := oldUser{Email: uuid.NewString(), Name: "old"}
	if err := db.Create(&user).Error; err != nil {
		return err
	}
	project := oldProject{OwnerID: user.ID, Documents: []oldDocument{{Title: "a"}, {Title: "b"}}}
	if err := db.Create(&project).Error; err != nil {
		return err
	}
	project.Name, project.Documents[0].Title = "changed", "c"
	if err := errors.Join(db.Save(&project).Error, db.Save(&project.Documents[0]).Error); err != nil {
		return err
	}
	var read oldProject
	if err := db.Preload("Owner").Preload("Documents").First(&read, project.ID).Error; err != nil {
		return err
	}
	if read.Name != "changed" || len(read.Documents) != 2 || read.Owner.Email != user.Email {
		return fmt.Errorf("%w: %+v", errRows, read)
	}
	return errors.Join(db.Delete(&project).Error, db.Delete(&user).Error)
}

// newWork is the same, for a tenant's program.
func newWork(db *gorm.DB) error {
	user := User{Email: uuid.NewString(), Name: "new"}
	if err := db.Create(&user).Error; err != nil {
		return err
	}
	project := Project{OwnerID: user.ID, Documents: []Document{{Title: "a"}, {Title: "b"}}}
	if err := db.Create(&project).Error; err != nil {
		return err
	}
	project.Name, project.Documents[0].Title = "changed", "c"
	if err := errors.Join(db.Save(&project).Error, db.Save(&project.Documents[0]).Error); err != nil {
		return err
	}
	var read Project
	if err := db.Preload("Owner").Preload("Documents").First(&read, project.ID).Error; err != nil {
		return err
	}
	if read.Name != "changed" || len(read.Documents) != 2 || read.Owner.Email != user.Email {
		return fmt.Errorf("%w: %+v", errRows, read)
	}
	return db.Transaction(func(tx *gorm.DB) error {
		return errors.Join(tx.Select("Documents").Delete(&project).Error, tx.Delete(&user).Error)
	})
}

// What follows stands in the guide too.

var firstOrg = scopes.Tenant{ID: uuid.MustParse("11111111-1111-4111-8111-111111111111")}

func withTenant(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(scopes.WithTenant(r.Context(), firstOrg)))
	})
}

func open(pool *sql.DB) (*gorm.DB, error) {
	db, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{QueryFields: true})
	if err != nil {
		return nil, err
	}
	return db, db.Use(scopes.NewPlugin(scopes.Config{Missing: scopes.Warn, Columns: []string{"org_id"}}))
}

func openTenanted(runtime, owner *pgx.ConnConfig) (*gorm.DB, *registry.Registry, error) {
	reg, err := registry.Open(registry.Config{Runtime: runtime, Owner: owner})
	if err != nil {
		return nil, nil, err
	}
	db, err := reg.OpenGORM(&gorm.Config{}, scopes.NewPlugin(scopes.Config{Columns: []string{"org_id"}}))
	return db, reg, err
}

func attack(t *testing.T, runtime, judge *pgx.ConnConfig, a, b scopes.Tenant) {
	scopestest.Run(t, scopestest.Subject{
		Parent:    func(text string) any { return &User{Name: text, Email: uuid.NewString()} },
		Child:     func(text string) any { return &Project{Name: text} },
		BelongsTo: "Owner",
		HasMany:   "Projects",
	}, scopestest.Target{Runtime: runtime, Judge: judge, A: a, B: b})
}

// as returns the database for a tenant.
func as(db *gorm.DB, tenant scopes.Tenant) *gorm.DB {
	return db.WithContext(scopes.WithTenant(context.Background(), tenant))
}
