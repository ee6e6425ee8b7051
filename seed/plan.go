package seed

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"tenanted/models"
	"tenanted/scopes"
)

// Totals counts rows, and apart from them the accounts that were there already.
type Totals struct {
	Accounts, Users, Projects, Tasks, Subtasks int64

	Existing int64
}

// Add adds the counts of u to t.
func (t *Totals) Add(u Totals) {
	t.Accounts += u.Accounts
	t.Users += u.Users
	t.Projects += u.Projects
	t.Tasks += u.Tasks
	t.Subtasks += u.Subtasks
	t.Existing += u.Existing
}

// Plan is the data of one account: its own row, how many rows of each kind it has, and the rows, which are
// composed again each time they are ranged over, with the same result.
type Plan struct {
	Slug, Name string // for the directory
	Account    models.Account
	Totals     Totals

	options      Options
	number       int
	epoch        time.Time
	passwordHash string
	vocabulary   *vocabulary
}

// A stream is a source of random numbers for one purpose, so that drawing more for one of them (another
// range of users, say) changes nothing in the others.
type stream uint64

const (
	ownStream stream = iota // the account's row, its number of users and of projects
	userStream
	taskCounts
	taskTexts
	subtaskCounts
	subtaskTexts
	assignees
	streamBits = 3 // that a stream's number takes
)

// Slug returns the slug of account number (0 for the first): "tenant-0".
func Slug(number int) string { return "tenant-" + strconv.Itoa(number) }

// NewPlan returns the data of account number, whose id is number+1. It depends on nothing but its
// arguments. It fails if the options are not valid, the number is negative, or ctx ends while it counts.
func NewPlan(ctx context.Context, o Options, number int) (*Plan, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if number < 0 {
		return nil, fmt.Errorf("account number %d: give 0 or more", number)
	}
	p := &Plan{options: o, number: number, epoch: o.epoch(), passwordHash: passwordHash(), vocabulary: loadVocabulary()}
	own := p.draw(ownStream)
	p.Slug, p.Name = Slug(number), own.company()
	p.Account = models.Account{ID: scopes.TenantID(number + 1), CreatedAt: p.epoch}
	if err := p.count(ctx, own); err != nil {
		return nil, err
	}
	return p, nil
}

// count draws the numbers of users and projects, and adds up those of tasks and subtasks.
func (p *Plan) count(ctx context.Context, own *composer) (err error) {
	t := Totals{Accounts: 1, Users: own.count(p.options.Users), Projects: own.count(p.options.Projects)}
	if t.Tasks, err = p.sum(ctx, t.Projects, taskCounts, p.options.Tasks); err != nil {
		return err
	}
	if t.Subtasks, err = p.sum(ctx, t.Tasks, subtaskCounts, p.options.Subtasks); err != nil {
		return err
	}
	p.Totals = t
	return nil
}

// drawsUntilLook is how many draws sum makes, in some microseconds, before it looks at the context again.
const drawsUntilLook = 4096

// sum returns how many children parents 1 to n have, without going through the children.
func (p *Plan) sum(ctx context.Context, parents int64, counts stream, r Range) (all int64, err error) {
	draw := p.draw(counts)
	for parent := range parents {
		if parent%drawsUntilLook == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		all += draw.count(r)
	}
	return all, nil
}

// children yields the id and the parent's id of every child of parents 1 to n, in order. No list of them
// is kept, so an account of any size takes the same memory.
func (p *Plan) children(parents int64, counts stream, r Range) iter.Seq2[int64, int64] {
	return func(yield func(id, parent int64) bool) {
		if r.Max == 0 {
			return // and not go through any number of parents in vain
		}
		draw := p.draw(counts)
		id := int64(0)
		for parent := int64(1); parent <= parents; parent++ {
			for range draw.count(r) {
				id++
				if !yield(id, parent) {
					return
				}
			}
		}
	}
}

// draw returns a composer at the beginning of a stream.
func (p *Plan) draw(s stream) *composer {
	source := rand.NewPCG(p.options.Seed, uint64(p.number)<<streamBits|uint64(s))
	return &composer{random: rand.New(source), vocabulary: p.vocabulary}
}
