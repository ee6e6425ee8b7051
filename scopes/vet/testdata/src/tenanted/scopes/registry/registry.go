// Package registry has the declarations of the real one that the cases use.
package registry

import (
	"database/sql"

	"gorm.io/gorm"
	"tenanted/scopes"
)

type Registry struct{}

func (r *Registry) DB() *sql.DB { return nil }

func (r *Registry) OpenGORM(config *gorm.Config, plugin *scopes.Plugin) (*gorm.DB, error) {
	return nil, nil
}
