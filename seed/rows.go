package seed

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"tenanted/models"
	"tenanted/scopes"
)

// yearsJoined is the span of time, from the epoch on, in which users join. It does not end today, for then
// the data would be others each day.
const yearsJoined = 5

// Users yields the account's users in the order of their ids, which are 1 to Totals.Users. The first one is the admin.
func (p *Plan) Users() iter.Seq[models.User] {
	return func(yield func(models.User) bool) {
		draw := p.draw(userStream)
		seconds := int(p.epoch.AddDate(yearsJoined, 0, 0).Sub(p.epoch) / time.Second)
		for id := int64(1); id <= p.Totals.Users; id++ {
			first, last := draw.one(p.vocabulary.firstNames), draw.one(p.vocabulary.lastNames)
			user := models.User{
				Tenanted:     p.tenanted(),
				ID:           id,
				Email:        email(first, last, id),
				FirstName:    first,
				LastName:     last,
				PasswordHash: p.passwordHash,
				DateJoined:   p.epoch.Add(time.Duration(draw.random.IntN(seconds)) * time.Second),
				Role:         models.Member,
			}
			if id == 1 {
				user.Role = models.Admin
			}
			if !yield(user) {
				return
			}
		}
	}
}

// Projects yields the account's projects in the order of their ids, which are 1 to Totals.Projects.
func (p *Plan) Projects() iter.Seq[models.Project] {
	return func(yield func(models.Project) bool) {
		for id := int64(1); id <= p.Totals.Projects; id++ {
			name := "project-" + strconv.FormatInt(id, 10)
			if !yield(models.Project{Tenanted: p.tenanted(), ID: id, Name: name}) {
				return
			}
		}
	}
}

// Tasks yields the account's tasks in the order of their ids, which are 1 to Totals.Tasks.
func (p *Plan) Tasks() iter.Seq[models.Task] {
	return func(yield func(models.Task) bool) {
		draw := p.draw(taskTexts)
		for id, project := range p.children(p.Totals.Projects, taskCounts, p.options.Tasks) {
			if !yield(models.Task{Tenanted: p.tenanted(), ID: id, ProjectID: project, Name: draw.name()}) {
				return
			}
		}
	}
}

// Subtasks yields the account's subtasks in the order of their ids, which are 1 to Totals.Subtasks.
func (p *Plan) Subtasks() iter.Seq[models.Subtask] {
	return func(yield func(models.Subtask) bool) {
		draw, assign := p.draw(subtaskTexts), p.draw(assignees)
		for id, task := range p.children(p.Totals.Tasks, subtaskCounts, p.options.Subtasks) {
			subtask := models.Subtask{
				Tenanted:   p.tenanted(),
				ID:         id,
				TaskID:     task,
				Name:       draw.name(),
				Complete:   draw.random.IntN(2) == 0,
				Details:    draw.paragraph(),
				AssigneeID: p.assignee(assign),
			}
			if !yield(subtask) {
				return
			}
		}
	}
}

// assignedOf is the share of subtasks that are somebody's: one of so many.
const assignedOf = 4

// assignee draws a user for some subtasks, and nobody for the others.
func (p *Plan) assignee(draw *composer) *int64 {
	if p.Totals.Users == 0 || draw.random.IntN(assignedOf) != 0 {
		return nil
	}
	id := draw.random.Int64N(p.Totals.Users) + 1
	return &id
}

func (p *Plan) tenanted() scopes.Tenanted { return scopes.Tenanted{AccountID: p.Account.ID} }

// email returns first-last-N@example.com in lower case, with what is no letter left out: "O'Kon" is "okon".
func email(first, last string, n int64) string {
	letters := func(r rune) rune {
		if r < 'a' || r > 'z' {
			return -1
		}
		return r
	}
	clean := func(name string) string { return strings.Map(letters, strings.ToLower(name)) }
	return clean(first) + "-" + clean(last) + "-" + strconv.FormatInt(n, 10) + "@example.com"
}
