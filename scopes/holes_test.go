package scopes_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// Pair is what GORM makes of a join table between two tenanted models: two tenant columns.
type Pair struct {
	LeftAccountID  scopes.TenantID `gorm:"primaryKey"`
	LeftID         int64           `gorm:"primaryKey"`
	RightAccountID scopes.TenantID `gorm:"primaryKey"`
	RightID        int64           `gorm:"primaryKey"`
}

func TestModelWithTwoTenantColumns(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var pairs []Pair
	require.NoError(t, db.as(t, 1).Find(&pairs).Error)
	require.Equal(t, []Pair{{1, 1, 1, 2}}, pairs)

	require.NoError(t, db.as(t, 1).Create(&Pair{LeftID: 7, RightID: 8}).Error)
	require.Equal(t, "1 1", db.ask(t, `select left_account_id || ' ' || right_account_id from pairs where left_id = 7`))

	var mismatch *scopes.TenantMismatchError
	require.ErrorAs(t, db.as(t, 1).Create(&Pair{LeftAccountID: 1, LeftID: 9, RightAccountID: 2, RightID: 3}).Error, &mismatch)
	require.ErrorIs(t, db.as(t, 1).Model(&Pair{}).Where("left_id = 7").Update("right_account_id", gorm.Expr("2")).Error, scopes.ErrTenantChange)

	require.NoError(t, db.as(t, 1).Where("true").Delete(&Pair{}).Error)
	require.Equal(t, "3", db.ask(t, `select count(*)::text from pairs`))
}

func TestManyToMany(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	card := Card{Model: gorm.Model{ID: 111}, OrgID: one(1)}
	require.NoError(t, db.as(t, 1).Model(&card).Association("Tags").Append(&Tag{Name: "new"}))

	var tags []Tag
	require.NoError(t, db.as(t, 1).Model(&card).Association("Tags").Find(&tags))
	require.Len(t, tags, 1)
	require.EqualValues(t, 1, db.as(t, 1).Model(&card).Association("Tags").Count())

	var cards []Card
	require.NoError(t, db.as(t, 1).Preload("Tags").Find(&cards, "id = 111").Error)
	require.Len(t, cards[0].Tags, 1)

	var mismatch *scopes.TenantMismatchError
	stolen := Tag{Tenanted: scopes.Tenanted{AccountID: 2}, ID: 3}
	require.ErrorAs(t, db.as(t, 1).Model(&card).Omit("Tags.*").Association("Tags").Append(&stolen), &mismatch)
	require.Equal(t, "1", db.ask(t, `select count(*)::text from card_tags`))
}

func TestQuotedTenantColumn(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	for _, key := range []string{`"org_id"`, `ORG_ID`, "org_id", "OrgID"} {
		err := db.as(t, 1).Model(&Label{ID: 1}).Updates(map[string]any{key: 2}).Error
		require.Error(t, err, key)
	}
	require.ErrorIs(t, db.as(t, 1).Model(&Label{ID: 1}).Updates(map[string]any{`"org_id"`: nil}).Error, scopes.ErrTenantChange)
	set := clause.Set{{Column: clause.Column{Name: `"org_id"`}, Value: 2}}
	require.ErrorIs(t, db.as(t, 1).Model(&Label{}).Where("id = 1").Clauses(set).Updates(map[string]any{}).Error, scopes.ErrTenantChange)
	upsert := clause.OnConflict{Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.Assignments(map[string]any{`"org_id"`: 2})}
	require.ErrorIs(t, db.as(t, 1).Clauses(upsert).Create(&Label{ID: 1}).Error, scopes.ErrTenantChange)
	require.Equal(t, "1", db.ask(t, `select org_id::text from labels where id = 1`))
}

func TestOrInsideAValue(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	or := gorm.Expr("'' or true")
	for name, q := range map[string]*gorm.DB{
		"equality": db.as(t, 1).Where(map[string]any{"name": or}),
		"list":     db.as(t, 1).Where(clause.IN{Column: "name", Values: []any{or}}),
		"and":      db.as(t, 1).Where(clause.AndConditions{Exprs: []clause.Expression{clause.Eq{Column: "name", Value: or}}}),
	} {
		var n int64
		require.NoError(t, q.Model(&Board{}).Count(&n).Error, name)
		require.EqualValues(t, 2, n, name)
	}
	var cards []Card
	on := db.as(t, 1).Where(map[string]any{"name": or})
	require.NoError(t, db.as(t, 1).Joins("Board", on).Find(&cards).Error)
	for _, card := range cards {
		require.EqualValues(t, 1, card.Board.OrgID)
	}
}

func TestChildrenOfAnotherTenant(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	foreign := func() []Card { return []Card{{OrgID: one(2), Name: "b"}} }
	board := Board{OrgID: 1, ID: 11}
	for name, write := range map[string]func() error{
		"create": func() error { return db.as(t, 1).Create(&Board{Cards: foreign()}).Error },
		"batch":  func() error { return db.as(t, 1).Create([]*Board{{}, {Cards: foreign()}}).Error },
		"save":   func() error { return db.as(t, 1).Save(&Board{OrgID: 1, ID: 11, Cards: foreign()}).Error },
		"append": func() error { return db.as(t, 1).Model(&board).Association("Cards").Append(foreign()) },
		"parent": func() error { return db.as(t, 1).Create(&Card{Board: &Board{OrgID: 2, ID: 21}}).Error },
	} {
		var mismatch *scopes.TenantMismatchError
		require.ErrorAs(t, write(), &mismatch, name)
		require.Equal(t, "2", mismatch.Value, name)
		require.Equal(t, "1", mismatch.Want, name)
	}
	require.Equal(t, "4", db.ask(t, `select count(*)::text from cards`))
}

func TestUpdateThatNamesNoRow(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	set := map[string]any{"name": "changed"}
	for name, q := range map[string]*gorm.DB{
		"nothing":         db.as(t, 1).Model(&Board{}).Updates(set),
		"tenant only":     db.as(t, 1).Model(&Board{OrgID: 1}).Updates(set),
		"key among rows":  db.as(t, 1).Model(&[]Board{{ID: 11}, {}}).Updates(set),
		"key of the dest": db.as(t, 1).Model(&Board{}).Omit("ID").Updates(&Board{ID: 11, Name: "changed"}),
		"no rows":         db.as(t, 1).Model(&[]Board{}).Updates(set),
		"delete":          db.as(t, 1).Delete(&Board{}),
		"delete tenant":   db.as(t, 1).Delete(&Board{OrgID: 1}),
		"delete list":     db.as(t, 1).Delete(&[]Board{{}}),
		"delete soft":     db.as(t, 1).Delete(&Card{}),
	} {
		require.ErrorIs(t, q.Error, gorm.ErrMissingWhereClause, name)
	}
	require.Equal(t, "4", db.ask(t, `select count(*)::text from boards where name <> 'changed'`))
}

// oddConflict is an ON CONFLICT clause that the scope does not know.
type oddConflict struct{}

func (oddConflict) Name() string { return "ON CONFLICT" }
func (oddConflict) Build(b clause.Builder) {
	_, _ = b.WriteString("(id) DO UPDATE SET name = 'stolen'")
}
func (o oddConflict) MergeClause(c *clause.Clause) { c.Expression = o }

func TestUnknownConflictClause(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	require.Error(t, db.as(t, 1).Clauses(oddConflict{}).Create(&Label{ID: 2}).Error)
	require.Equal(t, "b", db.ask(t, `select name from labels where id = 2`))
}

func TestUntenantedModelOverAnotherTable(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var countries []Country
	require.NoError(t, db.Find(&countries).Error)
	require.Panics(t, func() { db.Clauses(clause.From{Tables: []clause.Table{{Name: "labels"}}}).Find(&countries) })
	require.Panics(t, func() { db.Table("labels").Find(&countries) })
	require.Panics(t, func() { db.Joins("join labels on true").Find(&countries) })
}

func TestListWithAnotherTenantsKey(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var mismatch *scopes.TenantMismatchError
	board := Board{OrgID: 1, ID: 11}
	a, b := Card{Model: gorm.Model{ID: 111}, OrgID: one(1)}, Card{Model: gorm.Model{ID: 211}, OrgID: one(2)}
	keys := clause.IN{Column: []clause.Column{{Name: "org_id"}, {Name: "id"}}, Values: []any{[]any{1, 11}, []any{2, 21}}}
	require.ErrorAs(t, db.as(t, 1).Where(keys).Find(&[]Board{}).Error, &mismatch)
	require.ErrorAs(t, db.as(t, 1).Delete(&[]Card{a, b}).Error, &mismatch)
	require.NoError(t, db.as(t, 1).Model(&board).Association("Cards").Delete(&a))
}

// The scope's parentheses must not change what the caller's conditions mean.
func TestOrBeforeWhere(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	var boards []Board
	require.NoError(t, db.as(t, 1).Or("id = 11").Where("id = 12").Find(&boards).Error)
	require.Len(t, boards, 2)
}
