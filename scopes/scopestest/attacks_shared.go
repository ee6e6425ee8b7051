package scopestest

import (
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// sharedAttack is an attack on B's rows through the view of own and shared rows, or on the shared rows.
type sharedAttack struct {
	name    string
	byModel bool // the scope must stop it without the other layers
	run     func(*sharedRun) error
}

func byModel(name string, run func(*sharedRun) error) sharedAttack {
	return sharedAttack{name, true, run}
}

// writesModel is an attack by one GORM write.
func writesModel(name string, statement func(*sharedRun) *gorm.DB) sharedAttack {
	return byModel(name, func(x *sharedRun) error { return x.did(statement(x)) })
}

// runsSQL is an attack by one raw statement.
func runsSQL(name, sql string) sharedAttack {
	return sharedAttack{name, false, func(x *sharedRun) error { return x.did(x.attacker().Exec(x.sql(sql))) }}
}

// readsSQL is an attack by one raw query.
func readsSQL(name, sql string) sharedAttack {
	return sharedAttack{name, false, func(x *sharedRun) error { return x.scan(x.attacker().Raw(x.sql(sql))) }}
}

func (x *sharedRun) find(db *gorm.DB) error { return x.read(db.Find, x.any.many()) }

var sharedAttacks = []sharedAttack{
	byModel("shared/read", func(x *sharedRun) error { return x.find(x.attacker()) }),
	byModel("shared/read-or", func(x *sharedRun) error { return x.find(x.attacker().Where("1=0").Or("1=1")) }),
	byModel("shared/read-by-bs-tenant", func(x *sharedRun) error {
		return x.find(x.attacker().Where(map[string]any{x.any.tenant.DBName: stored(x.b.tenant)}))
	}),
	byModel("shared/read-without-a-tenant", func(x *sharedRun) error { return x.find(x.none()) }),
	byModel("shared/read-rows-of-no-tenant", func(x *sharedRun) error {
		return x.find(x.attacker().Where(x.any.tenant.DBName + " is null").Or(x.any.tenant.DBName + " is not null"))
	}),
	byModel("shared/read-by-bs-key", func(x *sharedRun) error {
		return x.find(x.attacker().Where(clause.Eq{Column: x.any.id.DBName, Value: x.tenants.idOf(x.bs)}))
	}),
	byModel("shared/count", func(x *sharedRun) error { return x.count(x.attacker().Model(x.any.one()).Or("1=1")) }),
	{"shared/read-table", false, func(x *sharedRun) error { return x.scan(x.attacker().Table(x.any.Table)) }},
	readsSQL("shared/read-raw", "select * from {any}"),
	readsSQL("shared/read-raw-own", "select * from {own}"),
	readsSQL("shared/read-raw-joined", "select o.* from {everyone} e, {own} o"),

	writesModel("shared/create", func(x *sharedRun) *gorm.DB { return x.attacker().Create(x.everyone.make("added")) }),
	writesModel("shared/create-without-a-tenant", func(x *sharedRun) *gorm.DB { return x.none().Create(x.everyone.make("added")) }),
	writesModel("shared/create-by-view", func(x *sharedRun) *gorm.DB { return x.attacker().Create(x.any.make("added")) }),
	writesModel("shared/upsert", func(x *sharedRun) *gorm.DB {
		return x.attacker().Clauses(clause.OnConflict{UpdateAll: true}).Create(x.changed())
	}),
	writesModel("shared/save", func(x *sharedRun) *gorm.DB { return x.attacker().Save(x.changed()) }),
	writesModel("shared/save-by-view", func(x *sharedRun) *gorm.DB { return x.attacker().Save(x.everyonesView()) }),
	writesModel("shared/update", func(x *sharedRun) *gorm.DB {
		return x.attacker().Model(x.changed()).Update(x.everyone.text.DBName, "changed")
	}),
	writesModel("shared/update-all", func(x *sharedRun) *gorm.DB {
		return x.attacker().Model(x.everyone.one()).Where("1=1").Update(x.everyone.text.DBName, "changed")
	}),
	writesModel("shared/update-by-view", func(x *sharedRun) *gorm.DB {
		return x.attacker().Model(x.everyonesView()).Update(x.any.text.DBName, "changed")
	}),
	writesModel("shared/update-all-by-view", func(x *sharedRun) *gorm.DB {
		return x.attacker().Session(&gorm.Session{AllowGlobalUpdate: true}).Model(x.any.one()).UpdateColumn(x.any.text.DBName, "changed")
	}),
	writesModel("shared/update-bs-by-view", func(x *sharedRun) *gorm.DB {
		return x.attacker().Model(x.bsView()).Update(x.any.text.DBName, "changed")
	}),
	writesModel("shared/delete", func(x *sharedRun) *gorm.DB { return x.attacker().Delete(x.changed()) }),
	writesModel("shared/delete-all", func(x *sharedRun) *gorm.DB { return x.attacker().Where("1=1").Delete(x.everyone.one()) }),
	writesModel("shared/delete-by-view", func(x *sharedRun) *gorm.DB { return x.attacker().Delete(x.everyonesView()) }),
	writesModel("shared/delete-bs-by-view", func(x *sharedRun) *gorm.DB { return x.attacker().Where("1=1").Delete(x.any.one()) }),

	runsSQL("shared/raw-insert", "insert into {everyone} select (jsonb_populate_record(e, jsonb_build_object({idname}, {new}))).* from {everyone} e"),
	runsSQL("shared/raw-update", "update {everyone} set {etext} = 'changed'"),
	runsSQL("shared/raw-delete", "delete from {everyone}"),
	runsSQL("shared/raw-truncate", "truncate {everyone} cascade"),
	runsSQL("shared/raw-update-view", "update {any} set {text} = 'changed'"),
	runsSQL("shared/raw-delete-view", "delete from {any}"),
	runsSQL("shared/raw-insert-view", "insert into {any} select * from {any}"),
	runsSQL("shared/raw-give-to-everyone", "update {own} set {tenant} = null"),
	runsSQL("shared/raw-replace-view", "create or replace view {any} as select * from {any}"),
}
