package scopes_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// byValue are GORM's operations that take keys or conditions from a value. Each is given tenant 1's board 11 and its
// card 111 and tag 1, with their tenant or without, and returns what it found.
var byValue = map[string]func(db *gorm.DB, board Board, card Card, tag Tag) (any, error){
	"First": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) { return board.Name, db.First(&board).Error },
	"Take":  func(db *gorm.DB, _ Board, _ Card, tag Tag) (any, error) { return tag.Name, db.Take(&tag).Error },
	"Find": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		found := db.Find(&board)
		return found.RowsAffected, found.Error
	},
	"Where": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) { return ids(db.Where(&board)) },
	"Not":   func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) { return ids(db.Not(&board)) },
	"Or": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return ids(db.Where("id = 12").Or(&board))
	},
	"nested Not": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return ids(db.Where(db.Not(&board)).Where("id > 0"))
	},
	"Not in a join": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		var cards []Card
		err := db.Joins("Board", db.Not(&board)).Order("cards.id").Find(&cards).Error
		return []bool{cards[0].Board == nil, cards[1].Board == nil}, err
	},
	"FirstOrInit": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		var found Board
		err := db.FirstOrInit(&found, board).Error
		return found.Name, err
	},
	"FirstOrCreate": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		var found Board
		done := db.Where(board).Assign(Board{Name: "x"}).FirstOrCreate(&found)
		return []any{found.ID, done.RowsAffected}, done.Error
	},

	"Save": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		board.Name = "x"
		saved := db.Save(&board)
		return saved.RowsAffected, saved.Error
	},
	"Save by value": func(db *gorm.DB, _ Board, _ Card, tag Tag) (any, error) {
		tag.Name = "x"
		saved := db.Save(&tag)
		return []any{saved.RowsAffected, tag.Tenanted.AccountID}, saved.Error
	},
	"Save list": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		board.Name = "x"
		saved := db.Save([]*Board{&board})
		return saved.RowsAffected, saved.Error
	},
	"Save new": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		board.ID = 99
		saved := db.Save(&board)
		return []any{saved.RowsAffected, board.OrgID}, saved.Error
	},
	"Update": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		updated := db.Model(&board).Update("name", "x")
		return updated.RowsAffected, updated.Error
	},
	"Updates": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		board.Name = "x"
		updated := db.Updates(&board)
		return updated.RowsAffected, updated.Error
	},
	"Updates list": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		updated := db.Model([]Board{board, {ID: 12}}).Updates(Board{Name: "x"})
		return updated.RowsAffected, updated.Error
	},
	"Delete": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		deleted := db.Delete(&board)
		return deleted.RowsAffected, deleted.Error
	},
	"Delete by value": func(db *gorm.DB, _ Board, _ Card, tag Tag) (any, error) {
		deleted := db.Delete(tag)
		return deleted.RowsAffected, deleted.Error
	},
	"Delete list": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		deleted := db.Delete(&[]Board{board, {OrgID: 1, ID: 12}})
		return deleted.RowsAffected, deleted.Error
	},
	"Delete soft": func(db *gorm.DB, _ Board, card Card, _ Tag) (any, error) {
		deleted := db.Delete(&card)
		return deleted.RowsAffected, deleted.Error
	},
	"Delete with": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		deleted := db.Select("Cards").Delete(&board)
		return deleted.RowsAffected, deleted.Error
	},

	"has many Find": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		var cards []Card
		err := db.Model(&board).Association("Cards").Find(&cards)
		return cards, err
	},
	"has many Count":        countOf("Cards"),
	"has many Count by key": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) { return counts(db.Model(board), "Cards") },
	"has many Append": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return len(board.Cards), db.Model(&board).Association("Cards").Append(&Card{Name: "x"})
	},
	"has many Append own": func(db *gorm.DB, board Board, card Card, _ Tag) (any, error) {
		board.ID = 12
		return len(board.Cards), db.Model(&board).Association("Cards").Append(&card)
	},
	"has many Replace": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return nil, db.Model(&board).Association("Cards").Replace(&Card{Name: "x"})
	},
	"has many Delete": func(db *gorm.DB, board Board, card Card, _ Tag) (any, error) {
		board.Cards = []Card{card}
		err := db.Model(&board).Association("Cards").Delete(&card)
		return len(board.Cards), err
	},
	"has many Clear": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return nil, db.Model(&board).Association("Cards").Clear()
	},
	"has many of a list": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return counts(db.Model([]Board{board, {OrgID: 1, ID: 12}}), "Cards")
	},
	"belongs to Find": func(db *gorm.DB, _ Board, card Card, _ Tag) (any, error) {
		var board Board
		err := db.Model(&card).Association("Board").Find(&board)
		return board, err
	},
	"belongs to Replace": func(db *gorm.DB, board Board, card Card, _ Tag) (any, error) {
		board.ID = 12
		return nil, db.Model(&card).Association("Board").Replace(&board)
	},
	"belongs to Clear": func(db *gorm.DB, _ Board, card Card, _ Tag) (any, error) {
		return nil, db.Model(&card).Association("Board").Clear()
	},
	"many to many Append": func(db *gorm.DB, _ Board, card Card, tag Tag) (any, error) {
		return nil, db.Model(&card).Association("Tags").Append(&tag)
	},
	"many to many": func(db *gorm.DB, _ Board, card Card, tag Tag) (any, error) {
		if err := db.Exec("insert into card_tags values (111, 1, 1)").Error; err != nil {
			return nil, err
		}
		n, err := counts(db.Model(&tag), "Cards")
		if err != nil {
			return nil, err
		}
		return n, db.Model(&tag).Association("Cards").Delete(&card)
	},
	"many to many Replace": func(db *gorm.DB, _ Board, card Card, tag Tag) (any, error) {
		return nil, db.Model(&tag).Association("Cards").Replace(&card)
	},
	"Create with a parent": func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) {
		return nil, db.Create(&Card{Name: "x", Board: &board}).Error
	},
}

func ids(db *gorm.DB) (found []int64, err error) {
	err = db.Model(&Board{}).Order("id").Pluck("id", &found).Error
	return found, err
}

func countOf(relation string) func(*gorm.DB, Board, Card, Tag) (any, error) {
	return func(db *gorm.DB, board Board, _ Card, _ Tag) (any, error) { return counts(db.Model(&board), relation) }
}

func counts(db *gorm.DB, relation string) (any, error) {
	a := db.Association(relation)
	n := a.Count()
	return n, a.Error
}

// everything is what is in the tables, except keys and times, which are generated.
const everything = `select (select string_agg(concat_ws(' ', org_id, id, name), '; ' order by org_id, id) from boards) || ' | ' ||
	(select string_agg(concat_ws(' ', org_id, board_id, name, deleted_at is null), '; ' order by id) from cards) || ' | ' ||
	(select coalesce(string_agg(concat_ws(' ', card_id, tag_account_id, tag_id), '; '), '') from card_tags) || ' | ' ||
	(select string_agg(concat_ws(' ', account_id, id, name), '; ' order by id) from tags)`

// TestValueWithoutItsTenant compares each operation on values without their tenant with the same on complete ones.
func TestValueWithoutItsTenant(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	boardID := int64(11)
	complete := func(run func(*gorm.DB, Board, Card, Tag) (any, error)) (any, string, error) {
		return undone(t, db, func(tx *gorm.DB) (any, error) {
			return run(tx, Board{OrgID: 1, ID: 11}, Card{Model: gorm.Model{ID: 111}, OrgID: one(1), BoardID: &boardID},
				Tag{Tenanted: scopes.Tenanted{AccountID: 1}, ID: 1})
		})
	}
	bare := func(run func(*gorm.DB, Board, Card, Tag) (any, error)) (any, string, error) {
		return undone(t, db, func(tx *gorm.DB) (any, error) {
			return run(tx, Board{ID: 11}, Card{Model: gorm.Model{ID: 111}, BoardID: &boardID}, Tag{ID: 1})
		})
	}
	for name, run := range byValue {
		want, wantState, err := complete(run)
		require.NoError(t, err, name)
		got, gotState, err := bare(run)
		require.NoError(t, err, name)
		require.Equal(t, wantState, gotState, name)
		require.Equal(t, want, got, name)
	}
}

// undone runs an operation of tenant 1's, and returns what it found and left. It leaves nothing.
func undone(t *testing.T, db alone, run func(tx *gorm.DB) (any, error)) (found any, state string, err error) {
	tx := db.as(t, 1).Begin()
	defer tx.Rollback()
	if found, err = run(tx); err != nil {
		return found, "", err
	}
	return found, state, tx.Raw(everything).Row().Scan(&state)
}

// What the operations answer, where the comparison alone could be of two silences.
func TestValueWithoutItsTenantIsFound(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	as1 := db.as(t, 1)
	require.EqualValues(t, 1, as1.Model(&Board{ID: 11}).Association("Cards").Count())
	require.NoError(t, as1.Save(&Board{ID: 11, Name: "saved"}).Error)
	require.Equal(t, "saved", db.ask(t, "select name from boards where id = 11"))
	require.EqualValues(t, 2, as1.Model([]Board{{ID: 11}, {ID: 12}}).Update("name", "x").RowsAffected)
	found, err := ids(as1.Not(&Board{ID: 11}))
	require.NoError(t, err)
	require.Equal(t, []int64{12}, found)
	found, err = ids(as1.Not(&Board{OrgID: 1, ID: 11}))
	require.NoError(t, err)
	require.Equal(t, []int64{12}, found)
}

// Rows read without their tenant column have their relations.
func TestPreloadWithoutTheTenantColumn(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var boards []Board
	require.NoError(t, db.as(t, 1).Select("id").Preload("Cards").Find(&boards).Error)
	require.Len(t, boards[0].Cards, 1)
	require.NoError(t, db.as(t, 1).Preload("Cards", func(tx *gorm.DB) *gorm.DB { return tx.Select("id", "board_id") }).Find(&boards).Error)
	require.Len(t, boards[0].Cards, 1)
	var cards []Card
	require.NoError(t, db.as(t, 1).Select("id", "board_id").Preload("Board").Find(&cards).Error)
	require.EqualValues(t, 11, cards[0].Board.ID)
	require.NoError(t, db.as(t, 1).Joins("Board", db.as(t, 1).Select("id")).Preload("Board.Cards").Find(&cards).Error)
	require.Len(t, cards[0].Board.Cards, 1)
}

// Own has the tenant as its whole key.
type Own struct {
	ID     scopes.TenantID
	Name   string
	Labels []Label `gorm:"foreignKey:OrgID"`
}

func (Own) TableName() string { return "countries" }

func TestValueThatIsTheTenant(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	as1 := db.as(t, 1)
	require.EqualValues(t, 1, as1.Model(&Own{}).Association("Labels").Count())
	require.ErrorIs(t, as1.Save(&Own{Name: "x"}).Error, gorm.ErrMissingWhereClause)
	require.ErrorIs(t, as1.Delete(&Own{}).Error, gorm.ErrMissingWhereClause)
	require.ErrorIs(t, as1.Model(&Own{}).Update("name", "x").Error, gorm.ErrMissingWhereClause)
}

// In work for all tenants nothing completes a value.
func TestValueWithoutItsTenantForAllTenants(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	all := db.WithContext(scopes.AllTenants(t.Context(), "a test"))
	for name, run := range map[string]func(*gorm.DB) error{
		"First":   func(db *gorm.DB) error { return db.First(&Board{ID: 11}).Error },
		"Count":   func(db *gorm.DB) error { return counted(db.Model(&Board{ID: 11}).Association("Cards")) },
		"Find":    func(db *gorm.DB) error { return db.Model(&[]Tag{{ID: 1}}).Association("Cards").Find(&[]Card{}) },
		"Preload": func(db *gorm.DB) error { return db.Select("id").Preload("Cards").Find(&[]Board{}).Error },
		"Save":    func(db *gorm.DB) error { return db.Save(&Board{ID: 11}).Error },
		"Create":  func(db *gorm.DB) error { return db.Create(&Board{Name: "x"}).Error },
		"Upsert": func(db *gorm.DB) error {
			return db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&Board{ID: 11}).Error
		},
		"Update":  func(db *gorm.DB) error { return db.Model(&Board{ID: 11}).Update("name", "x").Error },
		"Updates": func(db *gorm.DB) error { return db.Model([]Board{{ID: 11}}).Updates(Board{Name: "x"}).Error },
		"Delete":  func(db *gorm.DB) error { return db.Delete(&Board{ID: 11}).Error },
		"Clear":   func(db *gorm.DB) error { return db.Model(&Board{ID: 11}).Association("Cards").Clear() },
	} {
		var missing *scopes.TenantMissingError
		require.ErrorAs(t, run(all), &missing, name)
		require.True(t, missing.InValue, name)
		_, _, err := undone(t, db, func(tx *gorm.DB) (any, error) { return nil, run(tx) })
		require.NoError(t, err, name)
	}
	require.Equal(t, "4", db.ask(t, "select count(*)::text from boards where name <> 'x'"))
}
