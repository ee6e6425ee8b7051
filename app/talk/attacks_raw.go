package talk

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"tenanted/models"
)

// searchByInput builds SQL from input, which ends the statement and begins another one.
func searchByInput(ctx context.Context, db *gorm.DB, input string) (n int64, err error) {
	return n, db.WithContext(ctx).Raw("SELECT count(*) FROM subtasks WHERE name = '" + input + "'").Scan(&n).Error
}

var stacked = attack{
	name: "stacked-statements", title: "A second statement in the input", code: []any{searchByInput},
	claim: "The extended protocol takes one statement at a time, so that an injected “; DROP TABLE” is an error whatever else is on.",
	stops: always(Protocol),
	make: func(ctx context.Context, w world) (outcome, error) {
		n, err := searchByInput(ctx, w.db, "'; DELETE FROM subtasks; --")
		return outcome{came: fmt.Sprint(n), leaked: err == nil}, err
	},
}

// becomeAnother sets the tenant by hand. What raw SQL sees then is the other tenant's; the scope's condition is still A's.
func becomeAnother(tx *gorm.DB, b string) (raw, scoped int64, err error) {
	if err := tx.Exec("SELECT set_config('app.tenant_id', ?, true)", b).Error; err != nil {
		return 0, 0, err
	}
	if err := tx.Raw("SELECT count(*) FROM subtasks WHERE account_id::text = ?", b).Scan(&raw).Error; err != nil {
		return 0, 0, err
	}
	return raw, scoped, tx.Model(&models.Subtask{}).Count(&scoped).Error
}

var setConfig = attack{
	name: "set-config", title: "Say that you are Bolt", code: []any{becomeAnother}, raw: true,
	claim: "Row-level security believes the setting: whoever can run SQL of their own can be any tenant. The layers are against mistakes, and no leave to build SQL from input.",
	stops: always(Nothing),
	make: func(ctx context.Context, w world) (outcome, error) {
		var raw, scoped int64
		err := inVain(ctx, w.db, func(tx *gorm.DB) (err error) {
			raw, scoped, err = becomeAnother(tx, w.b.Key())
			return err
		})
		return outcome{came: fmt.Sprintf("raw SQL: %d subtasks of account 2; the model: %d", raw, scoped), leaked: raw > 0}, err
	},
}
