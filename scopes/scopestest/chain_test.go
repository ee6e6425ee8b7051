package scopestest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"pgregory.net/rapid"

	"tenanted/models"
	"tenanted/scopes"
)

// chain is a random chain of GORM calls: steps, and one that ends it.
type chain struct {
	finish func(*gorm.DB) (answer string, err error)
	writes bool
}

type step func(*gorm.DB) *gorm.DB

// noun is a model that chains are about.
type noun struct {
	table     string
	one       func(id int64) any
	many      func() any
	relations []string // that it belongs to, nested ones too
	children  string   // that it has
	text      string
}

// pick draws one of a list that has no texts of its own to print: its number.
func pick[T any](t *rapid.T, label string, list []T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(t, label)]
}

func mine() scopes.Tenanted { return scopes.Tenanted{AccountID: 1} }

var nouns = []noun{
	{"projects", func(id int64) any { return &models.Project{Tenanted: key(id), ID: id} }, func() any { return &[]models.Project{} },
		[]string{"Account"}, "Tasks", "name"},
	{"tasks", func(id int64) any { return &models.Task{Tenanted: key(id), ID: id} }, func() any { return &[]models.Task{} },
		[]string{"Project", "Project.Account"}, "Subtasks", "name"},
	{"subtasks", func(id int64) any { return &models.Subtask{Tenanted: key(id), ID: id} }, func() any { return &[]models.Subtask{} },
		[]string{"Task", "Task.Project", "Task.Project.Account"}, "", "name"},
	{"users", func(id int64) any { return &models.User{Tenanted: key(id), ID: id} }, func() any { return &[]models.User{} },
		[]string{"Account"}, "", "first_name"},
}

// key is the tenant part of a key: none for an empty row.
func key(id int64) (t scopes.Tenanted) {
	if id != 0 {
		t = mine()
	}
	return t
}

func drawChain(t *rapid.T) chain {
	n := pick(t, "model", nouns)
	var steps []step
	for range rapid.IntRange(0, 4).Draw(t, "conditions") {
		steps = append(steps, drawCondition(t, n))
	}
	if rapid.Bool().Draw(t, "writes") {
		return drawWrite(t, n, steps)
	}
	for range rapid.IntRange(0, 3).Draw(t, "extras") {
		steps = append(steps, drawExtra(t, n))
	}
	return drawRead(t, n, steps)
}

func apply(db *gorm.DB, steps []step) *gorm.DB {
	for _, s := range steps {
		db = s(db)
	}
	return db
}

// fresh is a database for a condition or subquery inside a chain.
func fresh(db *gorm.DB) *gorm.DB { return db.Session(&gorm.Session{NewDB: true}) }

// withoutTenant is the row as an example that nobody gave a tenant. With one, Not means "of another tenant" in plain GORM, and
// nothing where there are only the own tenant's rows.
func withoutTenant(row any) any {
	if v := reflect.ValueOf(row); v.Kind() == reflect.Pointer { // else it is a map
		v.Elem().FieldByName("Tenanted").SetZero()
	}
	return row
}

// drawPredicate draws a condition of its own, in words or as a value: what Where, Or and Not take.
func drawPredicate(t *rapid.T, n noun, depth int) func(*gorm.DB) (any, []any) {
	id, name := rapid.Int64Range(0, 10).Draw(t, "id"), rapid.SampledFrom([]string{"x", "y", "z", "canary"}).Draw(t, "name")
	column := func(c string) string { return n.table + "." + c }
	plain := func(query any, args ...any) func(*gorm.DB) (any, []any) {
		return func(*gorm.DB) (any, []any) { return query, args }
	}
	kinds := []func() func(*gorm.DB) (any, []any){
		func() func(*gorm.DB) (any, []any) { return plain(column("id")+" = ?", id) },
		func() func(*gorm.DB) (any, []any) { return plain(column("id")+" > ?", id) },
		func() func(*gorm.DB) (any, []any) { return plain(column(n.text)+" = ?", name) },
		func() func(*gorm.DB) (any, []any) {
			return plain(column(n.text)+" = @name", map[string]any{"name": name})
		},
		func() func(*gorm.DB) (any, []any) { return plain(column("id")+" in ?", []int64{id, id + 1, id + 5}) },
		func() func(*gorm.DB) (any, []any) {
			or := rapid.SampledFrom([]string{" or ", " OR ", "\nor ", "\tOR\n", "/**/or/**/", " AND ", "\nand "}).Draw(t, "or")
			return plain(column("id")+" = ?"+or+column(n.text)+" = ?", id, name)
		},
		func() func(*gorm.DB) (any, []any) { return plain("1=1") },
		func() func(*gorm.DB) (any, []any) { return plain("1=0\nor 1=1") },
		func() func(*gorm.DB) (any, []any) { return plain(map[string]any{n.text: name}) },
		func() func(*gorm.DB) (any, []any) { return plain(map[string]any{"id": []int64{id, id + 2}}) },
		func() func(*gorm.DB) (any, []any) { return plain(map[string]any{n.text: gorm.Expr("'x' or 1=1")}) },
		func() func(*gorm.DB) (any, []any) { return plain(withoutTenant(n.one(id))) },
		func() func(*gorm.DB) (any, []any) { return plain(clause.Gte{Column: column("id"), Value: id}) },
		func() func(*gorm.DB) (any, []any) {
			return plain(clause.Or(clause.Eq{Column: column("id"), Value: id}, clause.Neq{Column: column(n.text), Value: name}))
		},
		func() func(*gorm.DB) (any, []any) {
			return plain(clause.IN{Column: column("id"), Values: []any{id, gorm.Expr("1 + 1")}})
		},
	}
	if depth > 0 {
		kinds = append(kinds,
			func() func(*gorm.DB) (any, []any) { return drawGroup(t, n, depth) },
			func() func(*gorm.DB) (any, []any) { return drawSubquery(t, n, depth) })
	}
	return pick(t, "predicate", kinds)()
}

func drawGroup(t *rapid.T, n noun, depth int) func(*gorm.DB) (any, []any) {
	a, b := drawPredicate(t, n, depth-1), drawPredicate(t, n, depth-1)
	or := rapid.Bool().Draw(t, "or")
	return func(db *gorm.DB) (any, []any) {
		query, args := a(db)
		group := fresh(db).Where(query, args...)
		query, args = b(db)
		if or {
			return group.Or(query, args...), nil
		}
		return group.Where(query, args...), nil
	}
}

func drawSubquery(t *rapid.T, n noun, depth int) func(*gorm.DB) (any, []any) {
	of := pick(t, "subquery", nouns)
	inner := drawPredicate(t, of, depth-1)
	form := rapid.SampledFrom([]string{"%s.id in (?)", "%s.id not in (?)", "%s.id > (?)", "exists (?)"}).Draw(t, "form")
	return func(db *gorm.DB) (any, []any) {
		query, args := inner(db)
		sub := fresh(db).Model(of.one(0)).Where(query, args...)
		switch {
		case strings.HasPrefix(form, "exists"):
			return form, []any{sub.Select("1")}
		case strings.Contains(form, ">"):
			return fmt.Sprintf(form, n.table), []any{sub.Select("min(id)")}
		default:
			return fmt.Sprintf(form, n.table), []any{sub.Select("id")}
		}
	}
}

func drawCondition(t *rapid.T, n noun) step {
	p := drawPredicate(t, n, 2)
	with := rapid.SampledFrom([]string{"where", "or", "not"}).Draw(t, "with")
	return func(db *gorm.DB) *gorm.DB {
		query, args := p(db)
		switch with {
		case "or":
			return db.Or(query, args...)
		case "not":
			return db.Not(query, args...)
		default:
			return db.Where(query, args...)
		}
	}
}

// drawExtra draws what else a query may have.
func drawExtra(t *rapid.T, n noun) step {
	relation := rapid.SampledFrom(n.relations).Draw(t, "relation")
	on := drawPredicate(t, noun{table: relationTable(relation), text: "name", one: func(int64) any { return map[string]any{} }}, 0)
	return pick(t, "extra", []step{
		func(db *gorm.DB) *gorm.DB { return db.Joins(relation) },
		func(db *gorm.DB) *gorm.DB { return db.InnerJoins(relation) },
		func(db *gorm.DB) *gorm.DB {
			query, args := on(db)
			return db.Joins(relation, fresh(db).Where(query, args...).Or("1=1"))
		},
		func(db *gorm.DB) *gorm.DB { return db.Preload(relation) },
		func(db *gorm.DB) *gorm.DB { return db.Preload(clause.Associations) },
		func(db *gorm.DB) *gorm.DB {
			if n.children == "" {
				return db
			}
			return db.Preload(n.children, func(tx *gorm.DB) *gorm.DB { return tx.Where("id > 2").Or("1=1") })
		},
		func(db *gorm.DB) *gorm.DB { return db.Select("account_id", "id", n.text) },
		func(db *gorm.DB) *gorm.DB { return db.Omit(n.text) },
		func(db *gorm.DB) *gorm.DB { return db.Unscoped() },
		func(db *gorm.DB) *gorm.DB { return db.Limit(3).Offset(1) },
		func(db *gorm.DB) *gorm.DB { return db.Session(&gorm.Session{}) },
		func(db *gorm.DB) *gorm.DB { return db.Clauses(clause.Locking{Strength: "SHARE"}) },
		func(db *gorm.DB) *gorm.DB { return db.Scopes(func(tx *gorm.DB) *gorm.DB { return tx.Or("1=1") }) },
		func(db *gorm.DB) *gorm.DB { return db.Table(n.table + " as " + n.table) },
	})
}

// relationTable is the alias that GORM gives a joined relation.
func relationTable(relation string) string {
	return `"` + strings.ReplaceAll(relation, ".", "__") + `"`
}

// byKey gives the rows an order, without which a limit takes any of them.
func byKey(db *gorm.DB) *gorm.DB {
	return db.Order(clause.OrderByColumn{Column: clause.Column{Table: clause.CurrentTable, Name: "id"}})
}

func drawRead(t *rapid.T, n noun, steps []step) chain {
	type ending = func(db *gorm.DB) (any, error)
	end := pick(t, "read", []ending{
		func(db *gorm.DB) (any, error) { rows := n.many(); return rows, byKey(db).Find(rows).Error },
		func(db *gorm.DB) (any, error) { row := n.one(0); return row, db.First(row).Error },
		func(db *gorm.DB) (any, error) { row := n.one(0); return row, db.Last(row).Error },
		func(db *gorm.DB) (any, error) { row := n.one(0); return row, byKey(db).Take(row).Error },
		func(db *gorm.DB) (any, error) { row := n.one(3); return row, db.First(row).Error },
		func(db *gorm.DB) (any, error) { var c int64; return &c, db.Model(n.one(0)).Count(&c).Error },
		func(db *gorm.DB) (any, error) {
			var c int64
			return &c, db.Model(n.one(0)).Distinct(n.table + "." + n.text).Count(&c).Error
		},
		func(db *gorm.DB) (any, error) {
			var s []string
			return &s, byKey(db.Model(n.one(0))).Pluck(n.table+"."+n.text, &s).Error
		},
		func(db *gorm.DB) (any, error) {
			var m []map[string]any
			return &m, byKey(db.Model(n.one(0))).Scan(&m).Error
		},
		func(db *gorm.DB) (any, error) {
			var m []map[string]any
			return &m, db.Model(n.one(0)).Select(n.table + "." + n.text + " as v, count(*) as c").Group(n.table + "." + n.text).Having("count(*) > 0 or 1=1").Order("v").Scan(&m).Error
		},
		func(db *gorm.DB) (any, error) {
			var m []map[string]any
			return &m, fresh(db).Table("(?) as sub", byKey(db.Model(n.one(0)))).Order("1, 2").Find(&m).Error
		},
		func(db *gorm.DB) (any, error) { return readRows(byKey(db.Model(n.one(0))).Select(n.table + ".id")) },
		func(db *gorm.DB) (any, error) {
			rows, all := n.many(), []string{}
			err := db.FindInBatches(rows, 2, func(*gorm.DB, int) error {
				if all = append(all, canonical(rows)); len(all) > 20 {
					return errEndless // GORM begins each batch after the last one by a condition, which an Or gets around
				}
				return nil
			}).Error
			return all, err
		},
		func(db *gorm.DB) (any, error) {
			row := n.one(2)
			return row, db.Model(row).Select("id").Find(row).Error
		},
	})
	return chain{finish: func(db *gorm.DB) (string, error) {
		answer, err := end(apply(db, steps))
		return canonical(answer), err
	}}
}

var errEndless = errors.New("endless")

func readRows(db *gorm.DB) (any, error) {
	rows, err := db.Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// canonical writes a value so that equal ones are equal texts, whatever the order of rows.
func canonical(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var generic any
	if err := json.Unmarshal(text, &generic); err != nil {
		return err.Error()
	}
	sorted, _ := json.Marshal(sortLists(generic)) // of what has just been unmarshalled
	return string(sorted)
}

func sortLists(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = sortLists(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case map[string]any:
		for k := range v {
			v[k] = sortLists(v[k])
		}
	}
	return v
}
