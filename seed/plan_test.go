package seed_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/seed"
)

// digest is a fingerprint of all that an account consists of.
func digest(p *seed.Plan) string {
	h := sha256.New()
	fmt.Fprintln(h, p.Account.ID, p.Slug, p.Name, p.Account.CreatedAt)
	for u := range p.Users() {
		fmt.Fprintln(h, u.AccountID, u.ID, u.Email, u.FirstName, u.LastName, u.PasswordHash, u.DateJoined, u.Role)
	}
	for r := range p.Projects() {
		fmt.Fprintln(h, r.AccountID, r.ID, r.Name)
	}
	for r := range p.Tasks() {
		fmt.Fprintln(h, r.AccountID, r.ID, r.ProjectID, r.Name)
	}
	for r := range p.Subtasks() {
		fmt.Fprintln(h, r.AccountID, r.ID, r.TaskID, r.Name, r.Complete, r.Details, assignee(r.AssigneeID))
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

func assignee(id *int64) int64 {
	if id == nil {
		return 0
	}
	return *id
}

// These fingerprints change when faker's word lists or the way in which rows are composed change. Then
// databases seeded earlier and later differ; say so in the commit that changes them.
func TestAccountsAreTheSameForever(t *testing.T) {
	t.Parallel()
	o := seed.DefaultOptions()
	o.Location = time.UTC
	require.Equal(t, "fd31aa13ac61339f", digest(plan(t, o, 0)))
	require.Equal(t, "a7ba99e0465c2350", digest(plan(t, o, 1)))
}

func TestAccountsDependOnSeedAndNumberOnly(t *testing.T) {
	t.Parallel()
	const accounts = 20
	var inOrder, inParallel [accounts]string
	for number := range accounts {
		inOrder[number] = digest(plan(t, options(), number))
	}
	var group sync.WaitGroup
	for number := accounts - 1; number >= 0; number-- {
		group.Go(func() { inParallel[number] = digest(plan(t, options(), number)) })
	}
	group.Wait()
	require.Equal(t, inOrder, inParallel)
	slices.Sort(inOrder[:])
	require.Len(t, slices.Compact(inOrder[:]), accounts, "each account has data of its own")
}

func TestAnotherSeedGivesOtherData(t *testing.T) {
	t.Parallel()
	one, two := options(), options()
	two.Seed = 2
	require.NotEqual(t, rowsOf(plan(t, one, 0)), rowsOf(plan(t, two, 0)))
	require.NotEqual(t, plan(t, one, 0).Name, plan(t, two, 0).Name)
}

func TestARangeChangesOnlyItsOwnTable(t *testing.T) {
	t.Parallel()
	few, many := options(), options()
	many.Users = seed.Range{Min: 50, Max: 50}
	before, after := rowsOf(plan(t, few, 0)), rowsOf(plan(t, many, 0))
	require.Len(t, after.Users, 50)
	require.Equal(t, before.Users, after.Users[:len(before.Users)])
	require.Equal(t, before.Subtasks[0], after.Subtasks[0])
}

func TestBoundsAndReferences(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := seed.Options{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Users:    drawRange(t, "users"),
			Projects: drawRange(t, "projects"),
			Tasks:    drawRange(t, "tasks"),
			Subtasks: drawRange(t, "subtasks"),
			Location: time.UTC,
		}
		p, err := seed.NewPlan(t.Context(), o, rapid.IntRange(0, 1<<31).Draw(t, "number"))
		require.NoError(t, err)
		checkShape(t, o, p)
	})
}

func drawRange(t *rapid.T, name string) seed.Range {
	low := rapid.IntRange(0, 6).Draw(t, "least "+name)
	return seed.Range{Min: low, Max: low + rapid.IntRange(0, 6).Draw(t, "more "+name)}
}

// checkShape checks that ids count from 1, that each row is the account's, and that each parent is there and
// has as many children as the options allow.
func checkShape(t *rapid.T, o seed.Options, p *seed.Plan) {
	all := rowsOf(p)
	require.Equal(t, seed.Totals{
		Accounts: 1,
		Users:    int64(len(all.Users)),
		Projects: int64(len(all.Projects)),
		Tasks:    int64(len(all.Tasks)),
		Subtasks: int64(len(all.Subtasks)),
	}, p.Totals)
	var users, projects, tasks, subtasks checker
	for _, u := range all.Users {
		users.row(t, p, u.AccountID, u.ID, 1)
	}
	for _, r := range all.Projects {
		projects.row(t, p, r.AccountID, r.ID, 1)
	}
	for _, r := range all.Tasks {
		tasks.row(t, p, r.AccountID, r.ID, r.ProjectID)
	}
	for _, r := range all.Subtasks {
		subtasks.row(t, p, r.AccountID, r.ID, r.TaskID)
	}
	users.within(t, o.Users, 1)
	projects.within(t, o.Projects, 1)
	tasks.within(t, o.Tasks, len(all.Projects))
	subtasks.within(t, o.Subtasks, len(all.Tasks))
}

// checker follows the rows of a table.
type checker struct {
	last     int64
	children map[int64]int // number of rows by parent
}

func (c *checker) row(t *rapid.T, p *seed.Plan, account scopes.TenantID, id, parent int64) {
	require.Equal(t, p.Account.ID, account)
	require.Equal(t, c.last+1, id)
	c.last = id
	if c.children == nil {
		c.children = map[int64]int{}
	}
	c.children[parent]++
}

func (c *checker) within(t *rapid.T, r seed.Range, parents int) {
	for parent := range int64(parents) {
		n := c.children[parent+1]
		require.GreaterOrEqual(t, n, r.Min)
		require.LessOrEqual(t, n, r.Max)
		delete(c.children, parent+1)
	}
	require.Empty(t, c.children, "rows of parents that are not there")
}

func TestBothEndsOfARangeOccur(t *testing.T) {
	t.Parallel()
	seen := map[int64]bool{}
	for number := range 200 {
		seen[plan(t, options(), number).Totals.Users] = true
	}
	require.Equal(t, map[int64]bool{1: true, 2: true, 3: true, 4: true, 5: true}, seen)
}

func TestAccount(t *testing.T) {
	t.Parallel()
	p := plan(t, options(), 41)
	require.Equal(t, scopes.TenantID(42), p.Account.ID)
	require.Equal(t, "tenant-41", p.Slug)
	require.Equal(t, seed.Slug(41), p.Slug)
	require.Regexp(t, `^[A-Z].*[a-zA-Z]$`, p.Name)
}

func TestUsers(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("UTC+9", 9*60*60)
	o := options()
	o.Location = zone
	o.Users = seed.Range{Min: 2000, Max: 2000}
	first := time.Date(2020, time.January, 1, 0, 0, 0, 0, zone)
	emails := map[string]bool{}
	for u := range plan(t, o, 0).Users() {
		require.Regexp(t, `^[a-z]+-[a-z]+-`+strconv.FormatInt(u.ID, 10)+`@example\.com$`, u.Email)
		require.False(t, emails[u.Email], u.Email)
		emails[u.Email] = true
		require.NotEmpty(t, u.FirstName)
		require.NotEmpty(t, u.LastName)
		require.Equal(t, zone, u.DateJoined.Location())
		require.False(t, u.DateJoined.Before(first), u.DateJoined)
		require.True(t, u.DateJoined.Before(first.AddDate(5, 0, 0)), u.DateJoined)
	}
}

// All users have one hash, which is made once. Whether it is the password's is tested where people sign in with it.
func TestUsersHaveOneHashAndOneAdmin(t *testing.T) {
	t.Parallel()
	hashes, admins := map[string]bool{}, 0
	for u := range plan(t, options(), 0).Users() {
		hashes[u.PasswordHash] = true
		if u.Role == models.Admin {
			admins++
			require.EqualValues(t, 1, u.ID)
		}
	}
	require.Len(t, hashes, 1)
	require.Equal(t, 1, admins)
}

func TestTexts(t *testing.T) {
	t.Parallel()
	o := options()
	o.Projects = seed.Range{Min: 30, Max: 30}
	p := plan(t, o, 0)
	for r := range p.Projects() {
		require.Equal(t, fmt.Sprintf("project-%d", r.ID), r.Name)
	}
	name := regexp.MustCompile(`^[A-Z][a-z]*( [a-z]+){1,4}$`)
	for r := range p.Tasks() {
		require.Regexp(t, name, r.Name)
	}
	paragraph := regexp.MustCompile(`^([A-Z][a-z]*( [a-z]+)*\.( |$)){2,6}$`)
	complete := 0
	for r := range p.Subtasks() {
		require.Regexp(t, name, r.Name)
		require.Regexp(t, paragraph, r.Details)
		if r.Complete {
			complete++
		}
	}
	require.InEpsilon(t, p.Totals.Subtasks/2, complete, 0.1, "about half are complete")
}

func TestMistakenArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*seed.Options)) seed.Options {
		o := seed.DefaultOptions()
		change(&o)
		return o
	}
	for want, o := range map[string]seed.Options{
		"minimum of users is -1: give 0 or more": with(func(o *seed.Options) { o.Users.Min = -1 }),
		"minimum of projects, 31, is above its maximum, 30: give a smaller minimum or a larger maximum": with(
			func(o *seed.Options) { o.Projects.Min = 31 }),
		"minimum of tasks, 1, is above its maximum, -5: give a smaller minimum or a larger maximum": with(
			func(o *seed.Options) { o.Tasks.Max = -5 }),
		"maximum of subtasks is 1000001: give 1000000 or less": with(func(o *seed.Options) { o.Subtasks.Max = 1_000_001 }),
		"the maxima allow an account 10000000000 tasks: choose smaller ones, for at most 1000000000": with(
			func(o *seed.Options) { o.Projects.Max, o.Tasks.Max = 100_000, 100_000 }),
		"the maxima allow an account 1000000000000000 subtasks: choose smaller ones, for at most 1000000000": with(
			func(o *seed.Options) { o.Projects.Max, o.Tasks.Max, o.Subtasks.Max = 1_000, 1_000_000, 1_000_000 }),
	} {
		require.EqualError(t, o.Validate(), want)
		_, err := seed.NewPlan(t.Context(), o, 0)
		require.EqualError(t, err, want)
	}
	_, err := seed.NewPlan(t.Context(), seed.DefaultOptions(), -1)
	require.EqualError(t, err, "account number -1: give 0 or more")
	require.NoError(t, seed.DefaultOptions().Validate())
	require.NoError(t, seed.Options{}.Validate(), "an account may be empty")
}

// The most that is allowed takes seconds to count, and minutes to go through.
func TestPlanningEndsWithItsContext(t *testing.T) {
	t.Parallel()
	big := seed.Range{Min: 30_000, Max: 30_000}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := seed.NewPlan(ctx, seed.Options{Projects: big, Tasks: big}, 0)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(begin), time.Second)
}

func TestParentsWithoutChildrenAreNotGoneThrough(t *testing.T) {
	t.Parallel()
	many := plan(t, seed.Options{Projects: seed.Range{Min: 1000, Max: 1000}, Tasks: seed.Range{Min: 1000, Max: 1000}}, 0)
	many.Totals.Tasks = math.MaxInt64
	for range many.Subtasks() {
		require.Fail(t, "there is none")
	}
}
