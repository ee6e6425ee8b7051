package scopestest

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// readAttacks read with models.
var readAttacks = []Attack{
	{Name: "read/by-primary-key", run: func(x *attackRun) error {
		return x.read(x.attacker().Where(x.child.byID(x.victim())).First, x.child.one())
	}},
	{Name: "read/by-key-in-the-destination", run: func(x *attackRun) error {
		return x.read(x.attacker().First, x.child.withID(x.victim(), true))
	}},
	{Name: "read/by-natural-key", run: func(x *attackRun) error { return x.find(x.attacker().Where(x.child.isCanary())) }},
	{Name: "read/no-condition", run: func(x *attackRun) error { return x.find(x.attacker()) }},
	{Name: "read/by-bs-tenant-column", run: func(x *attackRun) error {
		return x.find(x.attacker().Where(map[string]any{x.child.tenant.DBName: stored(x.b.tenant)}))
	}},
	{Name: "read/by-example", run: func(x *attackRun) error { return x.find(x.attacker().Where(x.child.withID(x.victim(), true))) }},
	{Name: "read/or", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0").Or(x.child.isCanary())) }},
	{Name: "read/or-first", run: func(x *attackRun) error { return x.find(x.attacker().Or("1=1")) }},
	{Name: "read/or-in-text", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0 or 1=1")) }},
	{Name: "read/or-across-newline", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0\nOR\n1=1")) }},
	{Name: "read/or-across-tab", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0\tor\t1=1")) }},
	{Name: "read/or-behind-comment", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0/**/or/**/1=1")) }},
	{Name: "read/or-in-value", run: func(x *attackRun) error {
		return x.find(x.attacker().Where(map[string]any{x.child.text.DBName: gorm.Expr("'' or 1=1")}))
	}},
	{Name: "read/or-in-list", run: func(x *attackRun) error {
		return x.find(x.attacker().Where(clause.IN{Column: x.child.text.DBName, Values: []any{clause.Expr{SQL: "'' or 1=1"}}}))
	}},
	{Name: "read/or-nested", run: func(x *attackRun) error {
		return x.find(x.attacker().Where(x.attacker().Where("1=0").Or("1=1")).Or(x.attacker().Where("1=1")))
	}},
	{Name: "read/or-clause", run: func(x *attackRun) error {
		return x.find(x.attacker().Clauses(clause.Or(clause.Expr{SQL: "1=1"})))
	}},
	{Name: "read/not", run: func(x *attackRun) error { return x.find(x.attacker().Not("1=0")) }},
	{Name: "read/not-own-tenant", run: func(x *attackRun) error {
		return x.find(x.attacker().Not(map[string]any{x.child.tenant.DBName: stored(x.a.tenant)}))
	}},
	{Name: "read/unscoped", run: func(x *attackRun) error { return x.find(x.attacker().Unscoped()) }},
	{Name: "read/new-db-session", run: func(x *attackRun) error { return x.find(x.attacker().Session(&gorm.Session{NewDB: true})) }},
	{Name: "read/prepared", run: func(x *attackRun) error { return x.find(x.attacker().Session(&gorm.Session{PrepareStmt: true})) }},
	{Name: "read/locking", run: func(x *attackRun) error { return x.find(x.attacker().Clauses(clause.Locking{Strength: "UPDATE"})) }},
	{Name: "read/take", run: func(x *attackRun) error { return x.read(x.attacker().Where(x.child.isCanary()).Take, x.child.one()) }},
	{Name: "read/last", run: func(x *attackRun) error { return x.read(x.attacker().Last, x.child.one()) }},
	{Name: "read/first-or-init", run: func(x *attackRun) error {
		return x.read(x.attacker().Where(x.child.byID(x.victim())).FirstOrInit, x.child.one())
	}},
	{Name: "read/count", run: func(x *attackRun) error {
		var n int64
		err := x.attacker().Model(x.child.one()).Count(&n).Error
		x.counted(n)
		return err
	}},
	{Name: "read/count-distinct", run: func(x *attackRun) error {
		var n int64
		err := x.attacker().Model(x.child.one()).Distinct(x.child.id.DBName).Or("1=1").Count(&n).Error
		x.counted(n)
		return err
	}},
	{Name: "read/group", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.child.one()).Select(x.sql("{text}, count(*)")).Group(x.sql("{text}")).Having("count(*) > 0 or 1=1"))
	}},
	{Name: "read/pluck", run: func(x *attackRun) error {
		var found []string
		err := x.attacker().Model(x.child.one()).Pluck(x.child.text.DBName, &found).Error
		x.saw(found, err)
		return err
	}},
	{Name: "read/scan-into-map", run: func(x *attackRun) error { return x.scan(x.attacker().Model(x.child.one())) }},
	{Name: "read/row", run: func(x *attackRun) error {
		var text string
		row := x.attacker().Model(x.child.one()).Select(x.sql("min({text})")).Where(x.child.isCanary()).Or("1=0").Row()
		err := row.Scan(&nullable{&text})
		x.saw(text, err)
		return err
	}},
	{Name: "read/rows", run: func(x *attackRun) error {
		rows, err := x.attacker().Model(x.child.one()).Rows()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row := x.child.one()
			if err := x.attacker().ScanRows(rows, row); err != nil {
				return err
			}
			x.saw(row)
		}
		return rows.Err()
	}},
	{Name: "read/in-batches", run: func(x *attackRun) error {
		dest := x.child.many()
		return x.did(x.attacker().FindInBatches(dest, 1, func(*gorm.DB, int) error { x.saw(dest); return nil }))
	}},
	{Name: "read/subquery-where", run: func(x *attackRun) error {
		bs := x.attacker().Model(x.child.one()).Select(x.child.id.DBName).Where("1=1\nor 1=1")
		return x.find(x.attacker().Where(x.sql("{id} in (?) or 1=1"), bs))
	}},
	{Name: "read/subquery-from", run: func(x *attackRun) error {
		return x.scan(x.attacker().Table("(?) as sub", x.attacker().Model(x.child.one()).Or("1=1")))
	}},
	{Name: "read/subquery-select", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.parent.one()).Select("(?) as stolen", x.attacker().Model(x.child.one()).Select(x.sql("min({text})")).Or("1=1")))
	}},
	{Name: "read/subquery-of-b", run: func(x *attackRun) error {
		bs := x.as(x.b.tenant).Model(x.child.one()).Select(x.sql("min({text})"))
		return x.scan(x.attacker().Model(x.parent.one()).Select("(?) as stolen", bs))
	}},
	{Name: "read/subquery-without-context", run: func(x *attackRun) error {
		lost := x.none().Model(x.child.one()).Select(x.sql("min({text})"))
		return x.scan(x.attacker().Model(x.parent.one()).Select("(?) as stolen", lost))
	}},
	{Name: "read/dry-run", run: func(x *attackRun) error {
		stmt := x.attacker().Session(&gorm.Session{DryRun: true}).Find(x.child.many()).Statement
		return x.scan(x.attacker().Raw(stmt.SQL.String(), stmt.Vars...))
	}},
	{Name: "read/to-sql", run: func(x *attackRun) error {
		return x.scan(x.attacker().Raw(x.db.ToSQL(func(*gorm.DB) *gorm.DB {
			return x.attacker().Session(&gorm.Session{DryRun: true}).Or("1=1").Find(x.child.many())
		})))
	}},
	{Name: "read/group-union", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.parent.one()).Select(x.sql("{ptext} as t")).Group(x.sql("{ptext} union all select {text} from {child}")))
	}},
	{Name: "read/unbalanced-parenthesis", run: func(x *attackRun) error { return x.find(x.attacker().Where("1=0) or (1=1")) }},
	{Name: "read/connection", run: func(x *attackRun) error {
		return x.attacker().Connection(func(tx *gorm.DB) error { return x.find(tx.WithContext(x.context(x.a.tenant)).Or("1=1")) })
	}},
	{Name: "read/as-other-struct", run: func(x *attackRun) error {
		var found []struct{ ID int64 }
		err := x.attacker().Model(x.child.one()).Or("1=1").Find(&found).Error
		x.counted(int64(len(found)))
		return err
	}},
	{Name: "read/key-answers", run: func(x *attackRun) error {
		return x.same(x.child.idOf(x.victim()), func(id any) (int64, error) {
			db := x.attacker().Where(clause.Eq{Column: x.child.id.DBName, Value: id}).First(x.child.one())
			return db.RowsAffected, db.Error
		})
	}},
	{Name: "read/hook-adds-or", run: func(x *attackRun) error {
		db := x.attacker().Scopes(func(tx *gorm.DB) *gorm.DB {
			tx.Statement.AddClause(clause.Where{Exprs: []clause.Expression{clause.Or(clause.Expr{SQL: "1=1"})}})
			return tx
		})
		return x.find(db)
	}},
}
