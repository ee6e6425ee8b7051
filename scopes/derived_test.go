package scopes_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"tenanted/scopes"
)

// named is a row of whatever has a name.
type named struct{ Name string }

// The forms of a query within a query that GORM documents. Each must see tenant 1's names only, which are all "a".
func TestQueriesWithinQueries(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	a := func() *gorm.DB { return db.as(t, 1) }
	for form, q := range map[string]*gorm.DB{
		"derived table":                   a().Table("(?) as p", a().Model(&Board{}).Select("name")),
		"derived table without as":        a().Table("(?) p", a().Model(&Board{}).Select("name")),
		"derived table, line breaks":      a().Table("\n(?)\n as p", a().Model(&Board{}).Select("name")),
		"derived table, model":            a().Model(&Board{}).Table("(?) as p", a().Model(&Board{}).Select("name")),
		"derived table, all columns":      a().Table("(?) as p", a().Model(&Board{})),
		"derived table, condition":        a().Table("(?) as p", a().Model(&Board{}).Select("name")).Where("p.name = ? or true", "b"),
		"derived table, grouped":          a().Table("(?) as p", a().Model(&Board{}).Select("name, count(*) n").Group("name")).Where("n > 0"),
		"derived table of a derived one":  a().Table("(?) as p", a().Table("(?) as q", a().Model(&Board{}).Select("name"))),
		"two derived tables":              a().Table("(?) as p, (?) as q", a().Model(&Board{}).Select("name"), a().Model(&Tag{}).Select("id")).Select("p.name"),
		"derived table of raw SQL":        a().Table("(?) as boards", a().Raw("select org_id, name from boards")).Model(&Board{}),
		"derived table, soft delete":      a().Table("(?) as p", a().Model(&Card{}).Select("name")),
		"derived table, joined relation":  a().Table("(?) as p", a().Model(&Card{}).Select("cards.name").Joins("Board")),
		"join of a subquery":              a().Model(&Board{}).Joins("join (?) c on c.board_id = boards.id", a().Model(&Card{}).Select("board_id")).Select("boards.name"),
		"subquery in WHERE":               a().Model(&Board{}).Where("id in (?)", a().Model(&Card{}).Select("board_id")),
		"subquery in a negated condition": a().Model(&Board{}).Not("id in (?)", a().Model(&Card{}).Select("board_id").Where("name = 'b'")),
		"subquery in SELECT":              a().Model(&Board{}).Select("(?) as name", a().Model(&Card{}).Select("max(name)")),
		"subquery in HAVING":              a().Model(&Board{}).Select("name").Group("name").Having("count(*) >= (?)", a().Model(&Board{}).Select("count(*)")),
		"subquery in ORDER":               a().Model(&Board{}).Clauses(clause.OrderBy{Expression: clause.Expr{SQL: "(?)", Vars: []any{a().Model(&Card{}).Select("max(name)")}}}),
		"group of conditions":             a().Model(&Board{}).Where(db.Where("name = 'a'").Or("name = 'b'")),
		"named arguments":                 a().Model(&Board{}).Where("name = @name or name = @name", map[string]any{"name": "a"}),
		"FROM clause":                     a().Model(&Board{}).Clauses(clause.From{Tables: []clause.Table{{Name: "boards"}}}),
		"locking":                         a().Model(&Board{}).Clauses(clause.Locking{Strength: "UPDATE"}),
	} {
		var rows []named
		if !assert.NoError(t, q.Scan(&rows).Error, form) {
			continue
		}
		assert.NotEmpty(t, rows, form)
		for _, row := range rows {
			assert.Equal(t, "a", row.Name, form)
		}
	}
	var n int64
	require.NoError(t, a().Table("(?) as p", a().Model(&Board{}).Select("name")).Count(&n).Error)
	require.EqualValues(t, 2, n)
	var names []string
	require.NoError(t, a().Table("(?) as p", a().Model(&Board{}).Select("name")).Pluck("name", &names).Error)
	require.Equal(t, []string{"a", "a"}, names)
	require.NoError(t, a().Model(&Board{}).Where("id = 11").Update("name", a().Model(&Card{}).Select("max(name)")).Error)
	require.Equal(t, "a", db.ask(t, "select name from boards where id = 11"))
}

// A derived table that is not surely confined inside is confined outside, or refused, with what to write.
func TestDerivedTablesInDoubt(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	a, b := db.as(t, 1), db.as(t, 2)
	none := db.WithContext(t.Context())
	all := db.WithContext(scopes.AllTenants(t.Context(), "a test"))
	for form, q := range map[string]*gorm.DB{
		"built by another tenant": a.Model(&Board{}).Table("(?) as boards", b.Model(&Board{})),
		"built for all tenants":   a.Model(&Board{}).Table("(?) as boards", all.Model(&Board{})),
		"of raw SQL":              a.Model(&Board{}).Table("(?) as boards", a.Raw("select * from boards")),
		"of a table by its name":  a.Model(&Board{}).Table("(?) as boards", a.Table("boards")),
		"beside a table":          a.Model(&Board{}).Table("(?) as p, boards", a.Model(&Board{}).Select("name")).Select("boards.name"),
		"with a join in words":    a.Model(&Board{}).Table("(?) as boards", a.Model(&Card{}).Joins("join boards on true").Select("boards.*")),
		"with a FROM of its own":  a.Model(&Board{}).Table("(?) as boards", a.Model(&Board{}).Clauses(clause.From{Tables: []clause.Table{{Name: "boards"}, {Name: "cards"}}}).Select("boards.*")),
	} {
		var rows []named
		err := q.Scan(&rows).Error
		for _, row := range rows {
			assert.Equal(t, "a", row.Name, form)
		}
		assert.True(t, err != nil || len(rows) > 0 || form == "built by another tenant", form)
	}
	err := a.Model(&Board{}).Table("(?) as boards", a.Raw("select name from boards")).Scan(&[]named{}).Error
	require.ErrorContains(t, err, `has no column "org_id", by which rows of Board are confined to their tenant: select it in the derived table`)
	require.ErrorContains(t, err, "db.WithContext(ctx).Model(&Board{})")
	require.Panics(t, func() { a.Table("(?) as p", none.Model(&Board{})).Scan(&[]named{}) })
}

func TestGenericSubqueryErrorSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{Missing: scopes.Error})
	ctx := scopes.WithTenant(t.Context(), scopes.Tenant{ID: 1})
	//tenantvet:ignore the mistake is made on purpose
	_, err := gorm.G[Board](db.DB).Where("id in (?)", gorm.G[Card](db.DB).Select("board_id")).Find(ctx)
	var missing *scopes.TenantMissingError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "subquery of Card without a tenant in its context: build it with db.WithContext(ctx).Model(&Card{})")
	boards, err := gorm.G[Board](db.DB).Where("id in (?)", db.WithContext(ctx).Model(&Card{}).Select("board_id")).Find(ctx)
	require.NoError(t, err)
	require.Len(t, boards, 2)
}

func TestPrepareStmtIsRefused(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	pool, err := db.DB.DB()
	require.NoError(t, err)
	g, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}), &gorm.Config{Logger: logger.Discard, DisableAutomaticPing: true, PrepareStmt: true})
	require.NoError(t, err)
	require.ErrorContains(t, g.Use(scopes.NewPlugin(scopes.Config{})), "gorm.Config.PrepareStmt can deadlock")
}

func TestTooManyValuesErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	db := scopeAlone(t, scopes.Config{})
	rows := make([]Card, 15000)
	err := db.as(t, 1).Create(&rows).Error
	require.ErrorContains(t, err, "and PostgreSQL takes 65535: use CreateInBatches, or set gorm.Config.CreateBatchSize")
	require.NoError(t, db.as(t, 1).CreateInBatches(&rows, 5000).Error)
	require.False(t, errors.Is(err, context.Canceled))
	require.Equal(t, "15002", db.ask(t, "select count(*)::text from cards where org_id = 1"))
}
