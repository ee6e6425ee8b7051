package scopes

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"
)

// derivedTables matches what Table is given for derived tables alone: "(?) as p", "(?) p, (?) as q".
var derivedTables = regexp.MustCompile(`(?is)^\s*\(\s*\?\s*\)\s*(as\s+)?["\w]+(\s*,\s*\(\s*\?\s*\)\s*(as\s+)?["\w]+)*\s*$`)

// confinedInside reports whether a statement reads nothing but derived tables that are confined to tenant id themselves.
// It needs no condition of its own then, and has no column to put it on, unless the derived table selects that.
func confinedInside(stmt *gorm.Statement, id tenantID) bool {
	from := stmt.TableExpr
	if from == nil || len(from.Vars) == 0 || !derivedTables.MatchString(from.SQL) {
		return false
	}
	for _, v := range from.Vars {
		inner, ok := v.(*gorm.DB)
		if !ok || !confinedAlone(inner.Statement, id) {
			return false
		}
	}
	return true
}

// confinedAlone reports whether a statement that is not built yet will be confined to tenant id when it is: it is on a
// tenanted model, under that tenant. Whatever is in doubt is not.
func confinedAlone(stmt *gorm.Statement, id tenantID) bool {
	if who, ok := lookup(stmt.Context); !ok || !who.confines().is(id) || stmt.SQL.Len() > 0 {
		return false
	}
	if _, ok := stmt.Clauses["FROM"]; ok {
		return false
	}
	if stmt.TableExpr != nil && len(stmt.TableExpr.Vars) > 0 {
		return confinedInside(stmt, id)
	}
	model, err := parseModel(stmt)
	if err != nil || len(tenantFields(model)) == 0 {
		return false
	}
	for i := range stmt.Joins { // in words, a join may bring rows of any tenant
		if _, ok := model.Relationships.Relations[stmt.Joins[i].Name]; !ok {
			return false
		}
	}
	return true
}

func parseModel(stmt *gorm.Statement) (*schema.Schema, error) {
	if stmt.Schema != nil {
		return stmt.Schema, nil
	}
	if stmt.Model == nil {
		return nil, schema.ErrUnsupportedDataType
	}
	own := gorm.Statement{DB: stmt.DB}
	err := own.Parse(stmt.Model)
	return own.Schema, err
}

// codeNoColumn is PostgreSQL's for a column that does not exist.
const codeNoColumn = "42703"

// explainDerived says what to do where the condition on the tenant found no column in a derived table.
func explainDerived(stmt *gorm.Statement, err error) error {
	var failed *pgconn.PgError
	if !errors.As(err, &failed) || failed.Code != codeNoColumn || stmt.TableExpr == nil || stmt.Schema == nil {
		return err
	}
	c, ok := stmt.Clauses["WHERE"].Expression.(clause.Where)
	if !ok || len(c.Exprs) == 0 {
		return err
	}
	own, ok := c.Exprs[0].(condition)
	if !ok {
		return err
	}
	return fmt.Errorf("table %q has no column %q, by which rows of %s are confined to their tenant: select it in the derived table, or build that by db.WithContext(ctx).Model(&%s{}): %w",
		stmt.Table, own.field.DBName, stmt.Schema.Name, stmt.Schema.Name, err)
}
