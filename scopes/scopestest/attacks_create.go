package scopestest

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// createAttacks create rows.
var createAttacks = []Attack{
	{Name: "create/for-b", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Create(x.forB()) })},
	{Name: "create/for-b-unscoped", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Unscoped().Create(x.forB()) })},
	{Name: "create/for-b-by-map", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.child.one()).Create(x.asMap(x.b.tenant))
	})},
	{Name: "create/for-b-by-quoted-map-key", run: write(func(x *attackRun) *gorm.DB {
		row := x.asMap(x.b.tenant)
		delete(row, x.child.tenant.DBName)
		row[ident(x.child.tenant.DBName)] = stored(x.b.tenant)
		return x.attacker().Model(x.child.one()).Create(row)
	})},
	{Name: "create/mixed-maps", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.child.one()).Create(&[]map[string]any{x.asMap(x.a.tenant), x.asMap(x.b.tenant)})
	})},
	{Name: "create/for-b-by-table", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Table(x.child.Table).Create(x.asMap(x.b.tenant))
	})},
	{Name: "create/mixed-batch", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Create(x.child.list(x.fresh(), x.forB())) })},
	{Name: "create/in-batches", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().CreateInBatches(x.child.list(x.fresh(), x.forB()), 1)
	})},
	{Name: "create/omitting-the-tenant", run: write(func(x *attackRun) *gorm.DB { return x.attacker().Omit(x.child.tenant.Name).Create(x.forB()) })},
	{Name: "create/selecting-others", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Select(x.child.text.Name, x.foreignKey.Name).Create(x.forB())
	})},
	{Name: "create/first-or-create-for-b", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Where(x.asMap(x.b.tenant)).FirstOrCreate(x.child.one())
	})},
	{Name: "create/first-or-create-assigning-b", run: write(func(x *attackRun) *gorm.DB {
		assign := map[string]any{x.child.tenant.DBName: stored(x.b.tenant), x.foreignKey.DBName: x.parent.idOf(x.victimParent())}
		return x.attacker().Where(x.child.byID(x.own())).Assign(assign).FirstOrCreate(x.child.one())
	})},
	{Name: "create/upsert-on-bs-key", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{UpdateAll: true}).Create(x.onBsKey())
	})},
	{Name: "create/upsert-on-bs-id", run: write(func(x *attackRun) *gorm.DB {
		// The conflict is on the id only, which is possible if ids are unique over all tenants.
		return x.attacker().Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: x.child.id.DBName}}, DoUpdates: clause.AssignmentColumns([]string{x.child.text.DBName}),
		}).Create(x.onBsKey())
	})},
	{Name: "create/upsert-or", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: x.child.id.DBName}}, DoUpdates: clause.AssignmentColumns([]string{x.child.text.DBName}),
			Where: clause.Where{Exprs: []clause.Expression{clause.Or(clause.Expr{SQL: "1=1"})}},
		}).Create(x.onBsKey())
	})},
	{Name: "create/upsert-moves-own-row", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{
			Columns: x.key(), DoUpdates: clause.Assignments(x.gift(x.child.tenant.DBName)),
		}).Create(x.own())
	})},
	{Name: "create/upsert-moves-own-row-by-quoted-key", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{
			Columns: x.key(), DoUpdates: clause.Assignments(x.gift(ident(x.child.tenant.DBName))),
		}).Create(x.own())
	})},
	{Name: "create/upsert-row-of-b", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{UpdateAll: true}).Create(x.child.set(x.victim(), x.child.text, "changed"))
	})},
	{Name: "create/under-bs-parent", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Create(x.child.set(x.fresh(), x.foreignKey, x.parent.idOf(x.victimParent())))
	})},
	{Name: "create/move-under-bs-parent", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Model(x.own()).UpdateColumn(x.foreignKey.DBName, x.parent.idOf(x.victimParent()))
	})},
	{Name: "create/upsert-under-bs-parent", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Save(x.child.set(x.own(), x.foreignKey, x.parent.idOf(x.victimParent())))
	})},
}

// relationAttacks reach B's rows through relations.
var relationAttacks = []Attack{
	{Name: "relation/create-with-loaded-parent-of-b", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Create(x.child.relate(x.child.make(ownMark), x.BelongsTo, x.victimParent()))
	})},
	{Name: "relation/create-with-parent-by-bs-id", run: write(func(x *attackRun) *gorm.DB {
		parent := x.parent.set(x.freshParent(), x.parent.id, x.parent.idOf(x.victimParent()))
		return x.attacker().Create(x.child.relate(x.child.make(ownMark), x.BelongsTo, parent))
	})},
	{Name: "relation/create-with-loaded-child-of-b", run: write(func(x *attackRun) *gorm.DB {
		return x.attacker().Create(x.parent.relate(x.freshParent(), x.HasMany, x.child.list(x.victim())))
	})},
	{Name: "relation/create-with-child-by-bs-id", run: write(func(x *attackRun) *gorm.DB {
		child := x.child.set(x.child.make(ownMark), x.child.id, x.child.idOf(x.victim()))
		return x.attacker().Create(x.parent.relate(x.freshParent(), x.HasMany, x.child.list(child)))
	})},
	{Name: "relation/save-with-loaded-child-of-b", run: write(func(x *attackRun) *gorm.DB {
		db := x.attacker().Session(&gorm.Session{FullSaveAssociations: true})
		return db.Save(x.parent.relate(x.ownParent(), x.HasMany, x.child.list(x.victim())))
	})},
	{Name: "relation/save-with-child-by-bs-id", run: write(func(x *attackRun) *gorm.DB {
		child := x.child.set(x.child.make(ownMark), x.child.id, x.child.idOf(x.victim()))
		db := x.attacker().Session(&gorm.Session{FullSaveAssociations: true})
		return db.Save(x.parent.relate(x.ownParent(), x.HasMany, x.child.list(child)))
	})},
	{Name: "association/append-loaded-child-of-b", run: func(x *attackRun) error { return x.associate().Append(x.victim()) }},
	{Name: "association/append-child-by-bs-id", run: func(x *attackRun) error {
		return x.associate().Append(x.child.set(x.child.make(ownMark), x.child.id, x.child.idOf(x.victim())))
	}},
	{Name: "association/replace-by-loaded-child-of-b", run: func(x *attackRun) error { return x.associate().Replace(x.victim()) }},
	{Name: "association/delete-loaded-child-of-b", run: func(x *attackRun) error { return x.associate().Delete(x.victim()) }},
	{Name: "association/delete-loaded-child-of-b-for-good", run: func(x *attackRun) error { return x.associate().Unscoped().Delete(x.victim()) }},
	{Name: "association/delete-children-of-both", run: func(x *attackRun) error { return x.associate().Unscoped().Delete(x.own(), x.victim()) }},
	{Name: "association/clear-of-bs-parent", run: func(x *attackRun) error { return x.associateB().Clear() }},
	{Name: "association/clear-of-bs-parent-for-good", run: func(x *attackRun) error { return x.associateB().Unscoped().Clear() }},
	{Name: "association/replace-of-bs-parent", run: func(x *attackRun) error { return x.associateB().Replace(x.own()) }},
	{Name: "association/append-to-bs-parent", run: func(x *attackRun) error { return x.associateB().Append(x.child.make(ownMark)) }},
	{Name: "association/give-own-child-to-bs-parent", run: func(x *attackRun) error { return x.associateB().Append(x.own()) }},
	{Name: "association/find-of-bs-parent", run: func(x *attackRun) error {
		found := x.child.many()
		err := x.associateB().Find(found)
		x.saw(found, err)
		return err
	}},
	{Name: "association/find-of-parent-by-bs-id", run: func(x *attackRun) error {
		found := x.child.many()
		err := x.attacker().Model(x.parent.withID(x.victimParent(), false)).Association(x.HasMany).Find(found)
		x.saw(found, err)
		return err
	}},
	{Name: "association/count-of-bs-parent", run: func(x *attackRun) error {
		association := x.associateB()
		if n := association.Count(); n > 0 {
			x.learned = "A counted the children of B's parent"
		}
		return association.Error
	}},
	{Name: "association/set-parent-to-bs", run: func(x *attackRun) error {
		return x.attacker().Model(x.own()).Association(x.BelongsTo).Replace(x.victimParent())
	}},
	{Name: "association/parent-of-loaded-child-of-b", run: func(x *attackRun) error {
		found := x.parent.one()
		err := x.attacker().Model(x.victim()).Association(x.BelongsTo).Find(found)
		x.saw(found, err)
		return err
	}},
	{Name: "association/clear-parent-of-bs-child", run: func(x *attackRun) error {
		return x.attacker().Model(x.victim()).Association(x.BelongsTo).Clear()
	}},
	{Name: "association/delete-parent-of-bs-child", run: func(x *attackRun) error {
		return x.attacker().Model(x.victim()).Association(x.BelongsTo).Unscoped().Delete(x.victimParent())
	}},
}
