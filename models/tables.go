package models

import (
	"fmt"
	"sync"

	"gorm.io/gorm/schema"

	"tenanted/scopes"
)

// Table is a model's table.
type Table struct {
	Name   string
	Tenant string // the column that says whose a row is
}

// Tables returns the tables of all models, parents before children.
var Tables = sync.OnceValue(func() []Table { return TablesOf(All()) })

// TablesOf returns the tables of some models, in their order.
func TablesOf(models []any) (tables []Table) {
	for _, model := range models {
		s, err := schema.Parse(model, &sync.Map{}, schema.NamingStrategy{})
		if err != nil {
			panic(fmt.Sprintf("models: %v", err)) // every test finds it
		}
		tables = append(tables, Table{s.Table, scopes.TenantFields(s)[0].DBName})
	}
	return tables
}
