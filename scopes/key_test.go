package scopes_test

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

// many is more keys than a statement may have parameters, and more than an OR of PostgreSQL's may have branches.
const many = 66_000

// manyBoards makes boards of tenant 3 with one card each, and one tag for all cards.
func manyBoards(t *testing.T) (db alone, boards []Board) {
	db = scopeAlone(t, scopes.Config{})
	db.db.Exec(t, pgtest.Superuser, fmt.Sprintf(`
		insert into boards (org_id, id, name) select 3, n, 'c' from generate_series(1, %[1]d) n;
		insert into cards (id, org_id, board_id, name) select 1000000 + n, 3, n, 'c' from generate_series(1, %[1]d) n;
		insert into tags values (3, 1, 'c');
		insert into card_tags select 1000000 + n, 3, 1 from generate_series(1, %[1]d) n;
		analyze`, many))
	require.NoError(t, db.as(t, 3).Find(&boards).Error)
	require.Len(t, boards, many)
	return db, boards
}

func TestListsOfManyKeys(t *testing.T) {
	t.Parallel()
	db, boards := manyBoards(t)
	as3 := db.as(t, 3)

	var found []Board
	require.NoError(t, as3.Preload("Cards").Find(&found).Error, "has many")
	require.Len(t, found[many-1].Cards, 1)

	var cards []Card
	require.NoError(t, as3.Preload("Board").Find(&cards).Error, "belongs to")
	require.EqualValues(t, *cards[many-1].BoardID, cards[many-1].Board.ID)

	require.NoError(t, as3.Model(&boards).Association("Cards").Find(&cards))
	require.Len(t, cards, many)
	require.EqualValues(t, many, as3.Model(&boards).Association("Cards").Count())
	require.EqualValues(t, many, as3.Model(&cards).Association("Board").Count())

	updated := as3.Model(&boards).Update("name", "d")
	require.NoError(t, updated.Error)
	require.EqualValues(t, many, updated.RowsAffected)

	deleted := as3.Unscoped().Select("Cards").Delete(&boards)
	require.NoError(t, deleted.Error)
	require.EqualValues(t, many, deleted.RowsAffected)
	require.Equal(t, "4 4", db.ask(t, `select (select count(*) from boards) || ' ' || (select count(*) from cards)`))
}

// Some keys go by other ways than a preload.
func TestListsOfKeys(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	as1 := db.as(t, 1)
	boards := func() []Board { return []Board{{OrgID: 1, ID: 11}, {OrgID: 1, ID: 12}} }
	tags := []Tag{{Tenanted: scopes.Tenanted{AccountID: 1}, ID: 1}, {Tenanted: scopes.Tenanted{AccountID: 1}, ID: 2}}
	card := Card{Model: gorm.Model{ID: 111}, OrgID: one(1)}

	require.NoError(t, as1.Model(&card).Association("Tags").Append(tags))
	require.EqualValues(t, 2, as1.Model(&tags).Association("Cards").Count())
	require.EqualValues(t, 2, as1.Model(&card).Association("Tags").Count())
	require.NoError(t, as1.Preload("Cards.Tags").Preload("Cards.Board").Find(&[]Board{}).Error)
	require.NoError(t, as1.Model(&card).Association("Tags").Delete(tags[0]))
	require.EqualValues(t, 1, as1.Model(&card).Association("Tags").Count())
	require.NoError(t, as1.Model(&card).Association("Tags").Replace(tags[:1]))
	require.Equal(t, "111 1", db.ask(t, "select card_id || ' ' || tag_id from card_tags"))
	require.NoError(t, as1.Select("Tags").Delete(&[]Card{card, {Model: gorm.Model{ID: 112}}}).Error)
	require.Equal(t, "0", db.ask(t, "select count(*)::text from card_tags"))
	require.Equal(t, "2", db.ask(t, "select count(*)::text from cards where deleted_at is not null"))

	both := boards()
	require.NoError(t, as1.Unscoped().Model(&both).Association("Cards").Clear())
	require.Equal(t, "211 212", db.ask(t, "select string_agg(id::text, ' ' order by id) from cards"))
	require.NoError(t, as1.Delete(boards()).Error)
	require.Equal(t, "21 22", db.ask(t, "select string_agg(id::text, ' ' order by id) from boards"))
}

// In work for all tenants a list has keys of several.
func TestListsOfManyTenantsKeys(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	db.db.Exec(t, pgtest.Superuser, `
		insert into boards (org_id, id, name) select n % 700 + 10, n, 'c' from generate_series(1, 9000) n;
		insert into cards (org_id, board_id, name) select n % 700 + 10, n, 'c' from generate_series(1, 9000) n; analyze`)
	all := db.WithContext(scopes.AllTenants(t.Context(), "a test"))
	var boards []Board
	require.NoError(t, all.Preload("Cards").Find(&boards).Error)
	require.Len(t, boards, 9004)
	for _, board := range boards {
		require.Len(t, board.Cards, 1)
		require.Equal(t, board.OrgID, *board.Cards[0].OrgID)
	}
	few := boards[:7]
	require.EqualValues(t, 7, all.Model(&few).Association("Cards").Count())
}

// Doc's key is a text, and has three parts; it is a uuid to PostgreSQL.
type (
	Doc struct {
		scopes.Tenanted
		Shelf string `gorm:"primaryKey"`
		ID    string `gorm:"primaryKey"`
		Pages []Page `gorm:"foreignKey:AccountID,Shelf,DocID;references:AccountID,Shelf,ID"`
		Notes []Note `gorm:"foreignKey:AccountID,DocID;references:AccountID,ID"`
	}
	Page struct {
		scopes.Tenanted
		ID    int64 `gorm:"primaryKey"`
		Shelf string
		DocID string
	}
	Note struct {
		scopes.Tenanted
		ID    noteID `gorm:"primaryKey;type:uuid"`
		DocID string
		Doc   *Doc `gorm:"foreignKey:AccountID,DocID;references:AccountID,ID"`
	}
)

// noteID is what many programs have for a uuid.
type noteID [16]byte

func (id noteID) Value() (driver.Value, error) { return hex.EncodeToString(id[:]), nil }

func (id *noteID) Scan(v any) error {
	_, err := hex.Decode(id[:], []byte(strings.ReplaceAll(v.(string), "-", "")))
	return err
}

const docTables = `
	create table docs (account_id bigint, shelf text, id uuid, primary key (account_id, shelf, id));
	create table pages (account_id bigint, id bigint generated by default as identity, shelf text, doc_id uuid, primary key (account_id, id));
	create table notes (account_id bigint, id uuid, doc_id uuid, primary key (account_id, id));`

func TestListsOfTextKeys(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	db.db.Exec(t, pgtest.Owner, docTables)
	as1 := db.as(t, 1)
	var docs []Doc
	for i, shelf := range []string{`a"b\c`, "{x,y}", "NULL", ""} {
		id := fmt.Sprintf("00000000-0000-0000-0000-%012d", i+1)
		docs = append(docs, Doc{Shelf: shelf, ID: id, Pages: []Page{{}}, Notes: []Note{{ID: noteID{1, byte(i)}}}})
	}
	require.NoError(t, as1.Create(&docs).Error)
	var found []Doc
	require.NoError(t, as1.Preload("Pages").Preload("Notes.Doc").Find(&found).Error)
	require.Len(t, found, 4)
	for _, doc := range found {
		require.Len(t, doc.Pages, 1, doc.Shelf)
		require.Equal(t, doc.ID, doc.Notes[0].Doc.ID)
	}
	var notes []Note
	require.NoError(t, as1.Find(&notes).Error)
	require.EqualValues(t, 4, as1.Delete(&notes).RowsAffected)

	shelves := []any{[]any{scopes.TenantID(1), `a"b\c`}, []any{scopes.TenantID(1), "NULL"}}
	in := clause.IN{Column: []clause.Column{{Name: "account_id"}, {Name: "shelf"}}, Values: shelves}
	require.NoError(t, as1.Where(in).Find(&found).Error)
	require.Len(t, found, 2)
	require.NoError(t, as1.Not(in).Find(&found).Error)
	require.Len(t, found, 2)
	require.NotContains(t, []string{found[0].Shelf, found[1].Shelf}, "NULL")
}

// The text of a list's SQL is the same for every length, and the tenant is in it once.
func TestListIsOneParameter(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	sql := func(boards []Board) string {
		return db.as(t, 1).Session(&gorm.Session{DryRun: true}).Delete(&boards).Statement.SQL.String()
	}
	two, three := []Board{{ID: 1}, {ID: 2}}, []Board{{ID: 1}, {ID: 2}, {ID: 3}}
	require.Equal(t, `DELETE FROM "boards" WHERE "boards"."org_id" = $1 AND ("boards"."id" = ANY($2))`, sql(two))
	require.Equal(t, sql(two), sql(three))
}

// A list with a key of another tenant's is refused wherever GORM puts it.
func TestForeignKeyInAList(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	as1 := db.as(t, 1)
	boards := []Board{{OrgID: 1, ID: 11}, {OrgID: 2, ID: 21}}
	tags := []Tag{{ID: 1}, {Tenanted: scopes.Tenanted{AccountID: 2}, ID: 3}}
	for name, err := range map[string]error{
		"association": as1.Model(&boards).Association("Cards").Find(&[]Card{}),
		"count":       counted(as1.Model(&boards).Association("Cards")),
		"join table":  as1.Model(&tags).Association("Cards").Find(&[]Card{}),
		"clear":       as1.Model(&boards).Association("Cards").Clear(),
		"update":      as1.Model(&boards).Update("name", "x").Error,
		"delete":      as1.Delete(&boards).Error,
		"with":        as1.Select("Cards").Delete(&boards).Error,
	} {
		var mismatch *scopes.TenantMismatchError
		require.ErrorAs(t, err, &mismatch, name)
		require.Equal(t, "2", mismatch.Value, name)
	}
	require.Equal(t, "4", db.ask(t, "select count(*)::text from boards where name <> 'x'"))
}

func counted(a *gorm.Association) error {
	a.Count()
	return a.Error
}
