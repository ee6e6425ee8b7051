package scopestest

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"tenanted/scopes/session"
)

const arbitrarySQL = "who can run arbitrary SQL as the runtime role can name another tenant"

// rawAttacks are raw SQL, and SQL injected into GORM's conditions.
var rawAttacks = []Attack{
	{Name: "raw/scan", run: func(x *attackRun) error { return x.scan(x.attacker().Raw(x.sql("select * from {child}"))) }},
	{Name: "raw/find", run: func(x *attackRun) error { return x.find(x.attacker().Raw(x.sql("select * from {child}"))) }},
	{Name: "raw/by-bs-tenant", run: func(x *attackRun) error {
		return x.scan(x.attacker().Raw(x.sql("select * from {child} where {tenant} = ?"), stored(x.b.tenant)))
	}},
	{Name: "raw/union", run: func(x *attackRun) error {
		return x.scan(x.attacker().Raw(x.sql("select {text} from {child} where {tenant} = {a} union all select {text} from {child}")))
	}},
	{Name: "raw/cte", run: func(x *attackRun) error {
		return x.scan(x.attacker().Raw(x.sql("with stolen as (select * from {child}) select * from stolen")))
	}},
	{Name: "raw/row", run: func(x *attackRun) error {
		var text string
		err := x.attacker().Raw(x.sql("select min({text}) from {child} where {tenant} <> {a}")).Row().Scan(&nullable{&text})
		x.saw(text, err)
		return err
	}},
	{Name: "raw/database-sql", run: func(x *attackRun) error {
		pool, err := x.db.DB()
		if err != nil {
			return err
		}
		return x.query(pool.QueryContext(x.context(x.a.tenant), x.sql("select {text} from {child}")))
	}},
	{Name: "raw/database-sql-no-tenant", run: func(x *attackRun) error {
		pool, err := x.db.DB()
		if err != nil {
			return err
		}
		return x.query(pool.QueryContext(x.ctx, x.sql("select {text} from {child}")))
	}},
	{Name: "raw/database-sql-prepared", run: func(x *attackRun) error {
		pool, err := x.db.DB()
		if err != nil {
			return err
		}
		stmt, err := pool.PrepareContext(x.context(x.b.tenant), x.sql("select {text} from {child}"))
		if err != nil {
			return err
		}
		defer stmt.Close()
		rows, err := stmt.QueryContext(x.context(x.a.tenant))
		return x.query(rows, err)
	}},
	{Name: "raw/update", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql("update {child} set {text} = 'changed'")))
	}},
	{Name: "raw/delete", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql("delete from {child} where {id} = {bid}")))
	}},
	{Name: "raw/insert-for-b", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql(x.insert("{b}", "{bpid}"))))
	}},
	{Name: "raw/insert-under-bs-parent", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql(x.insert("{a}", "{bpid}"))))
	}},
	{Name: "raw/give-to-b", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql("update {child} set {tenant} = {b}, {fk} = {bpid} where {id} = {aid}")))
	}},
	{Name: "raw/truncate", run: func(x *attackRun) error { return x.did(x.attacker().Exec(x.sql("truncate {child} cascade"))) }},
	{Name: "raw/statements-in-one", run: func(x *attackRun) error {
		return x.did(x.attacker().Exec(x.sql("select 1; set " + session.Setting + " = {bkey}; delete from {child}")))
	}},
	{Name: "raw/row-security-off", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			if err := x.did(tx.Exec("set local row_security = off")); err != nil {
				return err
			}
			return x.scan(tx.Raw(x.sql("select * from {child}")))
		})
	}},
	{Name: "raw/disable-policies", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			err := x.did(tx.Exec(x.sql("alter table {child} disable row level security")))
			if err == nil {
				_ = x.scan(tx.Raw(x.sql("select * from {child}")))
				err = errRolledBack
			}
			return err
		})
	}},
	{Name: "raw/set-tenant-then-read", run: func(x *attackRun) error {
		_ = x.did(x.attacker().Exec(x.sql("select set_config('" + session.Setting + "', {bkey}, true)")))
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "raw/set-tenant-then-use-models", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			_ = x.did(tx.Exec(x.sql("select set_config('" + session.Setting + "', {bkey}, true)")))
			return x.find(tx)
		})
	}},
	{Name: "raw/set-tenant-in-transaction", Limit: arbitrarySQL, run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			_ = x.did(tx.Exec(x.sql("select set_config('" + session.Setting + "', {bkey}, true)")))
			return x.scan(tx.Raw(x.sql("select * from {child}")))
		})
	}},
	{Name: "raw/set-session-tenant-then-read", run: func(x *attackRun) error {
		_ = x.did(x.attacker().Exec(x.sql("set " + session.Setting + " = {bkey}")))
		err := x.scan(x.attacker().Raw(x.sql("select * from {child}")))
		return errors.Join(err, x.attacker().Exec("reset "+session.Setting).Error)
	}},
	{Name: "raw/bs-schema-by-name", run: func(x *attackRun) error {
		if x.b.tenant.Schema == "" {
			return errNotMade
		}
		return x.scan(x.attacker().Raw(fmt.Sprintf("select * from %s.%s", ident(x.b.tenant.Schema), ident(x.child.Table))))
	}},
	{Name: "raw/injected-set-clause", run: func(x *attackRun) error {
		return x.did(x.attacker().Model(x.own()).Update(x.child.text.DBName, gorm.Expr(x.sql("'moved', {tenant} = {b}, {fk} = {bpid}"))))
	}},
	{Name: "raw/unique-key-answers", run: func(x *attackRun) error {
		return x.same(x.child.idOf(x.victim()), func(id any) (n int64, err error) {
			err = x.attacker().Transaction(func(tx *gorm.DB) error {
				created := tx.Create(x.child.set(x.fresh(), x.child.id, id))
				n = created.RowsAffected
				if created.Error != nil {
					return created.Error
				}
				return errRolledBack
			})
			return n, err
		})
	}},
	{Name: "raw/foreign-key-answers", run: func(x *attackRun) error {
		return x.same(x.parent.idOf(x.victimParent()), func(id any) (int64, error) {
			err := x.attacker().Transaction(func(tx *gorm.DB) error {
				if err := tx.Create(x.child.set(x.fresh(), x.foreignKey, id)).Error; err != nil {
					return err
				}
				return errRolledBack
			})
			return 0, err
		})
	}},
}
