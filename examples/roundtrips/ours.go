package roundtrips

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"tenanted/scopes"
	"tenanted/scopes/session"
)

// oursSQL is session.Open, or the DB of a registry.
func oursSQL(db *sql.DB) way {
	read := func(ctx context.Context) (text string, err error) {
		err = db.QueryRowContext(ctx, selectNote).Scan(&text)
		return text, err
	}
	return way{
		read: read,
		readTwice: func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback() // after Commit it does nothing
			if err := twiceSQL(ctx, tx); err != nil {
				return err
			}
			return tx.Commit()
		},
		forgetful: read,
	}
}

// oursPgx is session.Pool.
func oursPgx(pool *session.Pool) way {
	read := func(ctx context.Context) (text string, err error) {
		err = pool.QueryRow(ctx, selectNote).Scan(&text)
		return text, err
	}
	return way{
		read: read,
		readTwice: func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return twicePgx(ctx, tx) })
		},
		forgetful: read,
	}
}

// Note is a row of notes, for GORM.
type Note struct {
	scopes.HasTenant
	OrgID uuid.UUID `gorm:"primaryKey;tenant"`
	ID    uuid.UUID `gorm:"primaryKey;default:gen_random_uuid()"`
	Text  string
}

// oursGORM is GORM with the plugin, over a registry.
func oursGORM(db *gorm.DB) way {
	read := func(ctx context.Context) (string, error) {
		var note Note
		err := db.WithContext(ctx).Take(&note).Error
		return note.Text, err
	}
	return way{
		read: read,
		readTwice: func(ctx context.Context) error {
			return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				if err := tx.Take(&Note{}).Error; err != nil {
					return err
				}
				return tx.Take(&Note{}).Error
			})
		},
		forgetful: read,
	}
}
