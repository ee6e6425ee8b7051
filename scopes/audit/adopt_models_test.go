package audit_test

import (
	"github.com/google/uuid"

	"tenanted/scopes"
)

// Org is a tenant: its own row, by its id.
type Org struct {
	scopes.HasTenant
	ID   uuid.UUID `gorm:"primaryKey;tenant"`
	Name string
}

type User struct {
	scopes.HasTenant
	OrgID    uuid.UUID `gorm:"primaryKey;tenant"`
	ID       int64     `gorm:"primaryKey;autoIncrement"`
	Email    string
	Name     string
	Org      *Org
	Projects []Project `gorm:"foreignKey:OwnerID;references:ID"`
}

type Project struct {
	scopes.HasTenant
	OrgID     uuid.UUID `gorm:"primaryKey;tenant"`
	ID        int64     `gorm:"primaryKey;autoIncrement"`
	OwnerID   int64
	Name      string
	Org       *Org
	Owner     *User      `gorm:"foreignKey:OwnerID;references:ID"`
	Documents []Document `gorm:"foreignKey:ProjectID;references:ID"`
}

type Document struct {
	scopes.HasTenant
	OrgID     uuid.UUID `gorm:"primaryKey;tenant"`
	ID        uuid.UUID `gorm:"primaryKey;default:gen_random_uuid()"`
	ProjectID int64
	Title     string
	Org       *Org
}

// Language is everybody's.
type Language struct {
	Code string `gorm:"primaryKey"`
	Name string
}

// All lists them.
func All() []any { return []any{&Org{}, &User{}, &Project{}, &Document{}, &Language{}} }
