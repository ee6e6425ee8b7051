package scopestest

import (
	"context"
	"errors"
	"sync"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// contextAttacks confuse whose work is being done. In those that start as B, A follows and must get nothing.
var contextAttacks = []Attack{
	{Name: "context/no-tenant-read", run: func(x *attackRun) error { return x.find(x.none()) }},
	{Name: "context/no-tenant-raw", run: func(x *attackRun) error { return x.scan(x.none().Raw(x.sql("select * from {child}"))) }},
	{Name: "context/no-tenant-update", run: func(x *attackRun) error {
		return x.did(x.none().Model(x.child.one()).Where(x.child.byID(x.victim())).Updates(x.set()))
	}},
	{Name: "context/no-tenant-delete", run: func(x *attackRun) error {
		return x.did(x.none().Delete(x.child.withID(x.victim(), true)))
	}},
	{Name: "context/no-tenant-create", run: func(x *attackRun) error {
		row := x.child.forTenant(x.fresh(), x.b.tenant)
		return x.did(x.none().Create(x.child.set(row, x.foreignKey, x.parent.idOf(x.victimParent()))))
	}},
	{Name: "context/no-tenant-raw-write", run: func(x *attackRun) error {
		return x.did(x.none().Exec(x.sql("delete from {child} where {id} = {bid}")))
	}},
	{Name: "context/tenant-zero", run: func(x *attackRun) error { return x.find(x.as(x.tenant(0))) }},
	{Name: "context/tenant-negative", run: func(x *attackRun) error { return x.find(x.as(x.tenant(-1))) }},
	{Name: "context/tenant-empty", run: func(x *attackRun) error { return x.find(x.as(x.tenant(""))) }},
	{Name: "context/tenant-nil", run: func(x *attackRun) error { return x.find(x.as(x.tenant(nil))) }},
	{Name: "context/tenant-of-no-kind", run: func(x *attackRun) error { return x.find(x.as(x.tenant(1.5))) }},
	{Name: "context/tenant-nul", run: func(x *attackRun) error { return x.find(x.as(x.tenant("\x00"))) }},
	{Name: "context/tenant-malformed", run: func(x *attackRun) error {
		return x.find(x.as(x.tenant(x.b.tenant.Key() + "' or true --")))
	}},
	{Name: "context/tenant-malformed-raw", run: func(x *attackRun) error {
		return x.scan(x.as(x.tenant(x.b.tenant.Key() + "', true); --")).Table(x.child.Table))
	}},
	{Name: "context/tenant-unknown", run: func(x *attackRun) error { return x.scan(x.as(x.tenant(1 << 40)).Table(x.child.Table)) }},
	{Name: "context/built-by-b-run-by-a", run: func(x *attackRun) error {
		return x.find(x.as(x.b.tenant).Where(x.child.isCanary()).WithContext(x.context(x.a.tenant)))
	}},
	{Name: "context/used-by-b-run-by-a", run: func(x *attackRun) error {
		used := x.as(x.b.tenant).Model(x.child.one()).Where(x.child.isCanary())
		if err := used.Find(x.child.many()).Error; err != nil {
			return err
		}
		return x.find(used.WithContext(x.context(x.a.tenant)))
	}},
	{Name: "context/built-by-b-run-by-none", run: func(x *attackRun) error {
		return x.find(x.as(x.b.tenant).Where(x.child.isCanary()).WithContext(x.ctx))
	}},
	{Name: "context/goroutine-without-context", run: func(x *attackRun) (err error) {
		var wait sync.WaitGroup
		wait.Go(func() {
			defer func() { err = errors.Join(err, recovered(recover())) }()
			err = x.find(x.none())
		})
		wait.Wait()
		return err
	}},
	{Name: "context/filter-for-b", run: func(x *attackRun) error { return x.find(x.attacker().Scopes(scopes.FilterTenant(x.b.tenant.ID))) }},
	{Name: "context/two-workers", run: twoWorkers},
	{Name: "context/after-bs-panic", run: func(x *attackRun) error {
		func() {
			defer func() { _ = recover() }()
			_ = x.as(x.b.tenant).Transaction(func(tx *gorm.DB) error {
				tx.Take(x.child.one())
				panic("in the middle")
			})
		}()
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "context/after-bs-error", run: func(x *attackRun) error {
		_ = x.as(x.b.tenant).Transaction(func(tx *gorm.DB) error { return tx.Exec("select 1/0").Error })
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "context/after-bs-cancelled-rows", run: func(x *attackRun) error {
		ctx, cancel := context.WithCancel(x.context(x.b.tenant))
		rows, err := x.db.WithContext(ctx).Raw(x.sql("select c.* from {child} c, generate_series(1, 10000)")).Rows()
		if err == nil {
			rows.Next()
			cancel()
			_ = rows.Close()
		}
		cancel()
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "context/after-bs-cancelled-transaction", run: func(x *attackRun) error {
		ctx, cancel := context.WithCancel(x.context(x.b.tenant))
		tx := x.db.WithContext(ctx).Begin()
		tx.Take(x.child.one())
		cancel()
		tx.Take(x.child.one())
		tx.Rollback()
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "context/after-cross-tenant-work", run: func(x *attackRun) error {
		x.db.WithContext(scopes.AllTenants(x.ctx, "scopestest")).Find(x.child.many())
		return x.scan(x.attacker().Raw(x.sql("select * from {child}")))
	}},
	{Name: "context/cross-tenant-in-as-transaction", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			return x.find(tx.WithContext(scopes.AllTenants(tx.Statement.Context, "scopestest")))
		})
	}},
	{Name: "context/cross-tenant-write", run: func(x *attackRun) error {
		db := x.db.WithContext(scopes.AllTenants(x.ctx, "scopestest"))
		return x.did(db.Model(x.child.one()).Where(x.child.byID(x.victim())).Updates(x.set()))
	}},
	{Name: "context/b-in-as-transaction", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			err := x.did(tx.WithContext(x.context(x.b.tenant)).Exec("select 1"))
			return errors.Join(err, x.scan(tx.Raw(x.sql("select * from {child}"))))
		})
	}},
	{Name: "context/after-transaction-ended-by-sql", run: func(x *attackRun) error {
		return x.attacker().Transaction(func(tx *gorm.DB) error {
			_ = x.did(tx.Exec("commit"))
			return x.scan(tx.Raw(x.sql("select * from {child}")))
		})
	}},
	{Name: "context/same-statement-b-then-a", run: func(x *attackRun) error {
		for range 3 { // prepared, cached, and used from there
			x.as(x.b.tenant).Raw(x.sql("select * from {child} where {text} <> ?"), "").Scan(&[]map[string]any{})
		}
		return x.scan(x.attacker().Raw(x.sql("select * from {child} where {text} <> ?"), ""))
	}},
	{Name: "context/prepare-mode-b-then-a", run: func(x *attackRun) error {
		prepared := x.db.Session(&gorm.Session{PrepareStmt: true})
		prepared.WithContext(x.context(x.b.tenant)).Raw(x.sql("select * from {child} where {text} <> ?"), "").Scan(&[]map[string]any{})
		return x.scan(prepared.WithContext(x.context(x.a.tenant)).Raw(x.sql("select * from {child} where {text} <> ?"), ""))
	}},
}

// tenant returns a tenant that does not exist, in A's placement.
func (x *attackRun) tenant(id any) scopes.Tenant {
	return scopes.Tenant{ID: id, Placement: x.a.tenant.Placement}
}

// twoWorkers runs A's and B's work alternately on the same few connections.
func twoWorkers(x *attackRun) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range 10 {
		wait.Go(func() {
			for range 10 {
				x.as(x.b.tenant).Raw(x.sql("select * from {child}")).Scan(&[]map[string]any{})
				var found []map[string]any
				err := x.attacker().Raw(x.sql("select * from {child}")).Scan(&found).Error
				mu.Lock()
				failed = errors.Join(failed, err)
				x.saw(found, err)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return failed
}

// recovered returns a panic's value as an error.
func recovered(panicked any) error {
	if panicked == nil {
		return nil
	}
	return &panicError{panicked}
}
