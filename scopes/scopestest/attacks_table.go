package scopestest

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// tableAttacks read without a model, with joins, and through relations.
var tableAttacks = []Attack{
	{Name: "table/name", run: func(x *attackRun) error { return x.scan(x.attacker().Table(x.child.Table)) }},
	{Name: "table/alias", run: func(x *attackRun) error { return x.scan(x.attacker().Table(x.child.Table + " t")) }},
	{Name: "table/several", run: func(x *attackRun) error { return x.scan(x.attacker().Table(x.parent.Table + ", " + x.child.Table)) }},
	{Name: "table/into-map", run: func(x *attackRun) error {
		var found []map[string]any
		err := x.attacker().Table(x.child.Table).Find(&found).Error
		x.saw(found, err)
		return err
	}},
	{Name: "table/no-tenant", run: func(x *attackRun) error { return x.scan(x.none().Table(x.child.Table)) }},
	{Name: "table/model-alias", run: func(x *attackRun) error { return x.find(x.attacker().Table(x.child.Table + " AS t").Or("1=1")) }},
	{Name: "table/model-over-parent", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.child.one()).Table(x.parent.Table).Or("1=1"))
	}},
	{Name: "table/from-clause", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.parent.one()).Select(x.child.Table + ".*").Clauses(clause.From{Tables: []clause.Table{{Name: x.parent.Table}, {Name: x.child.Table}}}))
	}},
	{Name: "table/from-join", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.parent.one()).Select(x.child.Table + ".*").Clauses(clause.From{Joins: []clause.Join{{
			Table: clause.Table{Name: x.child.Table}, ON: clause.Where{Exprs: []clause.Expression{clause.Expr{SQL: "1=1"}}}}}}))
	}},
	{Name: "table/raw-join", run: func(x *attackRun) error {
		return x.scan(x.attacker().Model(x.parent.one()).Select("c.*").Joins(x.sql("join {child} c on 1=1")))
	}},
	{Name: "join/relation", run: func(x *attackRun) error { return x.find(x.attacker().Joins(x.BelongsTo).Or("1=1")) }},
	{Name: "join/relation-inner", run: func(x *attackRun) error { return x.find(x.attacker().InnerJoins(x.BelongsTo).Or("1=1")) }},
	{Name: "join/relation-of-bs-parent", run: func(x *attackRun) error {
		// A's child points at B's parent if no layer prevents that.
		x.attacker().Model(x.own()).UpdateColumn(x.foreignKey.DBName, x.parent.idOf(x.victimParent()))
		return x.find(x.attacker().Joins(x.BelongsTo))
	}},
	{Name: "join/condition-with-or", run: func(x *attackRun) error {
		return x.find(x.attacker().Joins(x.BelongsTo, x.attacker().Where("1=0").Or("1=1")))
	}},
	{Name: "join/condition-with-newline", run: func(x *attackRun) error {
		return x.find(x.attacker().Joins(x.BelongsTo, x.attacker().Where("1=0\nor 1=1")))
	}},
	{Name: "join/condition-in-value", run: func(x *attackRun) error {
		return x.find(x.attacker().Joins(x.BelongsTo, x.attacker().Where(map[string]any{x.parent.text.DBName: gorm.Expr("'' or 1=1")})))
	}},
	{Name: "join/nested", run: func(x *attackRun) error {
		if x.Nested == "" {
			return errNotMade
		}
		return x.find(x.attacker().Joins(x.Nested).Or("1=1"))
	}},
	{Name: "join/no-tenant", run: func(x *attackRun) error { return x.find(x.none().Joins(x.BelongsTo)) }},
	{Name: "preload/has-many", run: func(x *attackRun) error { return x.findParents(x.attacker().Preload(x.HasMany).Or("1=1")) }},
	{Name: "preload/belongs-to", run: func(x *attackRun) error { return x.find(x.attacker().Preload(x.BelongsTo).Or("1=1")) }},
	{Name: "preload/all", run: func(x *attackRun) error { return x.findParents(x.attacker().Preload(clause.Associations)) }},
	{Name: "preload/condition-with-or", run: func(x *attackRun) error {
		return x.findParents(x.attacker().Preload(x.HasMany, func(tx *gorm.DB) *gorm.DB { return tx.Or("1=1") }))
	}},
	{Name: "preload/inline-or", run: func(x *attackRun) error { return x.findParents(x.attacker().Preload(x.HasMany, "1=0\nor 1=1")) }},
	{Name: "preload/nested", run: func(x *attackRun) error {
		if x.Nested == "" {
			return errNotMade
		}
		return x.find(x.attacker().Preload(x.Nested).Or("1=1"))
	}},
	{Name: "preload/bs-parent", run: func(x *attackRun) error {
		x.attacker().Model(x.own()).UpdateColumn(x.foreignKey.DBName, x.parent.idOf(x.victimParent()))
		return x.find(x.attacker().Preload(x.BelongsTo))
	}},
	{Name: "preload/without-context", run: func(x *attackRun) error {
		return x.findParents(x.attacker().Preload(x.HasMany, func(tx *gorm.DB) *gorm.DB { return tx.WithContext(x.ctx) }))
	}},
}
