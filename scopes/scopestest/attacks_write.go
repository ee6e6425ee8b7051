package scopestest

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// writeAttacks change or delete rows that exist.
var writeAttacks = []Attack{
	{Name: "update/loaded-row-of-b", run: func(x *attackRun) error { return x.did(x.attacker().Model(x.victim()).Updates(x.set())) }},
	{Name: "update/save-loaded-row-of-b", run: func(x *attackRun) error {
		return x.did(x.attacker().Save(x.child.set(x.victim(), x.child.text, "changed")))
	}},
	{Name: "update/save-row-with-bs-id", run: func(x *attackRun) error {
		return x.did(x.attacker().Save(x.child.set(x.fresh(), x.child.id, x.child.idOf(x.victim()))))
	}},
	{Name: "update/save-list-with-rows-of-b", run: func(x *attackRun) error {
		return x.did(x.attacker().Save(x.child.list(x.own(), x.child.set(x.victim(), x.child.text, "changed"))))
	}},
	{Name: "update/by-key", run: func(x *attackRun) error {
		return x.did(x.attacker().Model(x.child.withID(x.victim(), false)).Updates(x.set()))
	}},
	{Name: "update/by-ids", run: func(x *attackRun) error {
		ids := clause.IN{Column: x.child.id.DBName, Values: []any{x.child.idOf(x.own()), x.child.idOf(x.victim())}}
		return x.did(x.attacker().Model(x.child.one()).Where(ids).Updates(x.set()))
	}},
	{Name: "update/list-of-rows", run: func(x *attackRun) error {
		return x.did(x.attacker().Model(x.child.list(x.own(), x.victim())).Updates(x.set()))
	}},
	{Name: "update/no-condition", run: func(x *attackRun) error { return x.did(x.attacker().Model(x.child.one()).Updates(x.set())) }},
	{Name: "update/or", run: func(x *attackRun) error {
		return x.did(x.attacker().Model(x.child.one()).Where("1=0").Or("1=1").Updates(x.set()))
	}},
	{Name: "update/or-across-newline", run: func(x *attackRun) error {
		return x.did(x.attacker().Model(x.child.one()).Where("1=0\nor 1=1").Updates(x.set()))
	}},
	{Name: "update/or-in-value", run: func(x *attackRun) error {
		like := map[string]any{x.child.text.DBName: gorm.Expr("'' or 1=1")}
		return x.did(x.attacker().Model(x.child.one()).Where(like).Updates(x.set()))
	}},
	{Name: "update/global", run: func(x *attackRun) error {
		return x.did(x.attacker().Session(&gorm.Session{AllowGlobalUpdate: true}).Model(x.child.one()).Updates(x.set()))
	}},
	{Name: "update/unscoped", run: func(x *attackRun) error {
		return x.did(x.attacker().Unscoped().Model(x.child.one()).Where(x.child.isCanary()).Updates(x.set()))
	}},
	{Name: "update/returning", run: func(x *attackRun) error {
		changed := x.child.many()
		db := x.attacker().Model(changed).Clauses(clause.Returning{}).Where("1=1").UpdateColumn(x.foreignKey.DBName, gorm.Expr(x.sql("{fk}")))
		x.saw(changed)
		return x.did(db)
	}},
	{Name: "update/table-without-model", run: func(x *attackRun) error {
		return x.did(x.attacker().Table(x.child.Table).Where(x.sql("{id} = {bid}")).Updates(x.set()))
	}},
	{Name: "update/from-subquery-without-context", run: func(x *attackRun) error {
		lost := x.none().Model(x.child.one()).Select(x.sql("min({text})"))
		return x.did(x.attacker().Model(x.own()).Updates(map[string]any{x.child.text.DBName: lost}))
	}},
	{Name: "update/from-bs-subquery", run: func(x *attackRun) error {
		bs := x.as(x.b.tenant).Model(x.child.one()).Select(x.sql("min({text})"))
		return x.did(x.attacker().Model(x.own()).Updates(map[string]any{x.child.text.DBName: bs}))
	}},
	{Name: "update/key-answers", run: func(x *attackRun) error {
		return x.same(x.child.idOf(x.victim()), func(id any) (int64, error) {
			db := x.attacker().Model(x.child.one()).Where(clause.Eq{Column: x.child.id.DBName, Value: id}).Updates(x.set())
			return db.RowsAffected, db.Error
		})
	}},

	{Name: "tenant/by-map", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Model(x.own()).Updates(x.gift(x.child.tenant.DBName)) })},
	{Name: "tenant/by-quoted-map-key", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.own()).Updates(x.gift(ident(x.child.tenant.DBName)))
	})},
	{Name: "tenant/by-column", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.own()).UpdateColumn(x.child.tenant.DBName, stored(x.b.tenant))
	})},
	{Name: "tenant/by-field", run: write(func(x *attackRun) *gorm.DB {
		row := x.child.forTenant(x.own(), x.b.tenant)
		return x.attacker().Model(x.own()).Updates(x.child.set(row, x.foreignKey, x.parent.idOf(x.victimParent())))
	})},
	{Name: "tenant/by-save", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Save(x.child.forTenant(x.own(), x.b.tenant))
	})},
	{Name: "tenant/by-select", run: write(func(x *attackRun) *gorm.DB {
		row := x.child.forTenant(x.child.one(), x.b.tenant)
		row = x.child.set(row, x.foreignKey, x.parent.idOf(x.victimParent()))
		return x.attacker().Model(x.own()).Select(x.child.tenant.Name, x.foreignKey.Name).Updates(row)
	})},
	{Name: "tenant/by-select-all", run: write(func(x *attackRun) *gorm.DB {
		row := x.child.forTenant(x.own(), x.b.tenant)
		return x.attacker().Model(x.own()).Select("*").Updates(row)
	})},
	{Name: "tenant/by-expression", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.own()).Update(x.child.tenant.DBName, gorm.Expr(x.sql("{b}")))
	})},
	{Name: "tenant/by-set-clause", run: write(func(x *attackRun) *gorm.DB {
		set := clause.Set{
			{Column: clause.Column{Name: ident(x.child.tenant.DBName)}, Value: stored(x.b.tenant)},
			{Column: clause.Column{Name: x.foreignKey.DBName}, Value: x.parent.idOf(x.victimParent())},
		}
		return x.attacker().Model(x.child.one()).Where(x.child.byID(x.own())).Clauses(set).Updates(map[string]any{})
	})},
	{Name: "tenant/by-global-update", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.child.one()).Where("1=1").Update(x.child.tenant.DBName, stored(x.b.tenant))
	})},

	{Name: "delete/loaded-row-of-b", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Delete(x.victim()) })},
	{Name: "delete/by-key", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Delete(x.child.withID(x.victim(), false)) })},
	{Name: "delete/by-ids", run: write(func(x *attackRun) *gorm.DB {
		ids := clause.IN{Column: x.child.id.DBName, Values: []any{x.child.idOf(x.own()), x.child.idOf(x.victim())}}
		return x.attacker().Where(ids).Delete(x.child.one())
	})},
	{Name: "delete/list-of-rows", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Delete(x.child.list(x.own(), x.victim())) })},
	{Name: "delete/no-condition", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Delete(x.child.one()) })},
	{Name: "delete/or", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Where("1=0").Or("1=1").Delete(x.child.one()) })},
	{Name: "delete/or-across-newline", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Where("1=0\nor 1=1").Delete(x.child.one()) })},
	{Name: "delete/global", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Session(&gorm.Session{AllowGlobalUpdate: true}).Delete(x.child.one())
	})},
	{Name: "delete/unscoped", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Unscoped().Where(x.child.isCanary()).Delete(x.child.one())
	})},
	{Name: "delete/parent-of-b", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Select(x.HasMany).Delete(x.victimParent()) })},
	{Name: "delete/parent-by-bs-key-with-children", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Select(x.HasMany).Delete(x.parent.withID(x.victimParent(), false))
	})},
	{Name: "delete/table-without-model", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Table(x.child.Table).Where(x.sql("{id} = {bid}")).Delete(nil)
	})},
	{Name: "delete/subquery-without-context", run: write(func(x *attackRun) *gorm.DB {
		lost := x.none().Model(x.child.one()).Select(x.child.id.DBName)
		return x.attacker().Where(x.sql("{id} in (?)"), lost).Delete(x.child.one())
	})},
	{Name: "delete/key-answers", run: func(x *attackRun) error {
		return x.same(x.child.idOf(x.victim()), func(id any) (int64, error) {
			db := x.attacker().Where(clause.Eq{Column: x.child.id.DBName, Value: id}).Delete(x.child.one())
			return db.RowsAffected, db.Error
		})
	}},
}

// write returns an attack that is one statement.
func write(statement func(*attackRun) *gorm.DB) func(*attackRun) error {
	return func(x *attackRun) error { return x.did(statement(x)) }
}

// gift returns the change that gives a child to B.
func (x *attackRun) gift(tenantColumn string) map[string]any {
	return map[string]any{tenantColumn: stored(x.b.tenant), x.foreignKey.DBName: x.parent.idOf(x.victimParent())}
}
