package scopestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// attackRun is the execution of one attack. It provides what attacks need: databases with the tenants' contexts, rows of both
// tenants, and methods to report what was seen.
type attackRun struct {
	subject
	db   *gorm.DB
	a, b rows
	ctx  context.Context

	seen    []string
	learned string
}

// attacker returns the database with tenant A's context.
func (x *attackRun) attacker() *gorm.DB { return x.as(x.a.tenant) }

// as returns the database with t's context.
func (x *attackRun) as(t scopes.Tenant) *gorm.DB { return x.db.WithContext(x.context(t)) }

// none returns the database with a context without a tenant.
func (x *attackRun) none() *gorm.DB { return x.db.WithContext(x.ctx) }

func (x *attackRun) context(t scopes.Tenant) context.Context { return scopes.WithTenant(x.ctx, t) }

// own returns a new copy of one of A's children, and ownParent of a parent of A's.
func (x *attackRun) own() any       { return x.child.copy(x.a.children[0]) }
func (x *attackRun) ownParent() any { return x.parent.copy(x.a.parents[0]) }

// victim and victimParent return the same of B's, as loaded for B.
func (x *attackRun) victim() any       { return x.child.copy(x.b.children[0]) }
func (x *attackRun) victimParent() any { return x.parent.copy(x.b.parents[0]) }

// fresh and freshParent return new rows, not yet created.
func (x *attackRun) fresh() any {
	row := x.child.make(ownMark)
	return x.child.set(row, x.foreignKey, x.parent.get(x.ownParent(), x.parent.id))
}
func (x *attackRun) freshParent() any { return x.parent.make(ownMark) }

func (m model) copy(row any) any {
	c := reflect.New(m.ModelType)
	c.Elem().Set(reflect.ValueOf(row).Elem())
	return c.Interface()
}

// saw reports what the attacker got, of any type.
func (x *attackRun) saw(values ...any) { x.seen = append(x.seen, texts(values...)...) }

// counted reports a number of children that the attacker learned; more than A has are B's.
func (x *attackRun) counted(n int64) {
	if n > perTable*perTable {
		x.learned = fmt.Sprintf("A counted %d rows of its %d", n, perTable*perTable)
	}
}

// same reports the answers to the same request, for B's id and for an id that does not exist.
func (x *attackRun) same(id any, ask func(id any) (affected int64, err error)) error {
	n1, err1 := ask(id)
	n2, err2 := ask(x.child.numbered(1 << 40))
	if a, b := answer(n1, err1), answer(n2, err2); a != b {
		x.learned = fmt.Sprintf("the answer for B's id is %q, for nobody's %q", a, b)
	}
	x.saw(err1)
	return err1
}

var number = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+`)

func answer(affected int64, err error) string {
	if err == nil {
		return fmt.Sprintf("%d rows", affected)
	}
	return number.ReplaceAllString(err.Error(), "#")
}

// byID returns the condition that a row has another row's id.
func (m model) byID(row any) clause.Expression {
	return clause.Eq{Column: clause.Column{Table: clause.CurrentTable, Name: m.id.DBName}, Value: m.idOf(row)}
}

// isCanary returns the condition that a row has B's text.
func (m model) isCanary() string { return m.Table + "." + m.text.DBName + " = '" + canary + "'" }

// errNotMade is returned by an attack that is not possible with the subject.
var errNotMade = errors.New("this attack cannot be made on this subject")

// find reads children, and findParents parents, with the conditions of db.
func (x *attackRun) find(db *gorm.DB) error        { return x.read(db.Find, x.child.many()) }
func (x *attackRun) findParents(db *gorm.DB) error { return x.read(db.Find, x.parent.many()) }

// read calls one of GORM's methods with dest and reports what it read.
func (x *attackRun) read(by func(dest any, conds ...any) *gorm.DB, dest any) error {
	err := by(dest).Error
	x.saw(dest, err)
	return err
}

// scan reads rows with any columns.
func (x *attackRun) scan(db *gorm.DB) error {
	var found []map[string]any
	err := db.Scan(&found).Error
	x.saw(found, err)
	return err
}

// did reports the outcome of a write.
func (x *attackRun) did(db *gorm.DB) error {
	x.saw(db.Error)
	return db.Error
}

// set returns a harmless change of a child's text.
func (x *attackRun) set() map[string]any { return map[string]any{x.child.text.DBName: "changed"} }

// sql fills in names and values: {child}, {parent}, {tenant}, {id}, {text}, {fk} of the child, {ptenant}, {pid}, {ptext} of
// the parent, the tenants {a} and {b}, the text {bkey} of B's id, and the ids {aid}, {bid}, {apid} and {bpid} of their rows.
func (x *attackRun) sql(text string) string {
	return strings.NewReplacer(
		"{child}", ident(x.child.Table), "{parent}", ident(x.parent.Table),
		"{tenant}", ident(x.child.tenant.DBName), "{ptenant}", ident(x.parent.tenant.DBName),
		"{id}", ident(x.child.id.DBName), "{pid}", ident(x.parent.id.DBName),
		"{text}", ident(x.child.text.DBName), "{ptext}", ident(x.parent.text.DBName),
		"{fk}", ident(x.foreignKey.DBName),
		"{a}", literal(x.a.tenant), "{b}", literal(x.b.tenant), "{bkey}", quoted(x.b.tenant.Key()),
		"{aid}", quoted(x.child.idOf(x.own())), "{bid}", quoted(x.child.idOf(x.victim())),
		"{apid}", quoted(x.parent.idOf(x.ownParent())), "{bpid}", quoted(x.parent.idOf(x.victimParent())),
	).Replace(text)
}

// forB returns a new child with B's tenant.
func (x *attackRun) forB() any {
	row := x.child.forTenant(x.fresh(), x.b.tenant)
	return x.child.set(row, x.foreignKey, x.parent.idOf(x.victimParent()))
}

// onBsKey returns a new child of A's with the id of one of B's.
func (x *attackRun) onBsKey() any {
	row := x.child.forTenant(x.fresh(), x.a.tenant)
	return x.child.set(row, x.child.id, x.child.idOf(x.victim()))
}

// asMap returns a new child as a map, for one of the tenants and under one of its parents.
func (x *attackRun) asMap(tenant scopes.Tenant) map[string]any {
	row := x.fresh()
	if tenant == x.b.tenant {
		row = x.forB()
	}
	values := map[string]any{x.child.tenant.DBName: stored(tenant)}
	for _, f := range x.child.Fields {
		if v, zero := f.ValueOf(x.ctx, reflect.ValueOf(row).Elem()); f.DBName != "" && !zero && f != x.child.tenant {
			values[f.DBName] = v
		}
	}
	return values
}

// key returns the child's primary key as a conflict target.
func (x *attackRun) key() (columns []clause.Column) {
	for _, f := range x.child.PrimaryFields {
		columns = append(columns, clause.Column{Name: f.DBName})
	}
	return columns
}

// insert returns SQL that inserts a copy of A's child, for a tenant and under a parent.
func (x *attackRun) insert(tenant, parent string) string {
	return fmt.Sprintf(`insert into {child} overriding system value
		select (jsonb_populate_record(c, jsonb_build_object('%s', %s, '%s', %s, '%s', %s))).* from {child} c where {id} = {aid}`,
		x.child.tenant.DBName, tenant, x.foreignKey.DBName, parent, x.child.id.DBName, quoted(x.child.numbered(1<<30)))
}

// associate returns the association with the children of A's parent, and associateB that of a loaded parent of B's, both with A's
// context.
func (x *attackRun) associate() *gorm.Association {
	return x.attacker().Model(x.ownParent()).Association(x.HasMany)
}
func (x *attackRun) associateB() *gorm.Association {
	return x.attacker().Model(x.victimParent()).Association(x.HasMany)
}

// query reads the rows that database/sql returned.
func (x *attackRun) query(rows *sql.Rows, err error) error {
	if err != nil {
		x.saw(err)
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		x.saw(text)
	}
	return rows.Err()
}

// nullable scans a text that may be null.
type nullable struct{ into *string }

func (n nullable) Scan(v any) error {
	if v != nil {
		*n.into = fmt.Sprint(v)
	}
	return nil
}

// errRolledBack rolls back the transaction of an attack.
var errRolledBack = errors.New("rolled back by the attack itself")

// panicError is a panic in an attack.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }
