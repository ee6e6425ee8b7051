package models

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// The most letters (code points) that a text may have.
const (
	MaxName    = 200
	MaxDetails = 10_000
)

// The fields of the inputs, as an [*InvalidError] names them.
const (
	FieldName     = "name"
	FieldDetails  = "details"
	FieldProject  = "project"
	FieldTask     = "task"
	FieldAssignee = "assignee"
	FieldMoveTo   = "move_to" // of a [Removal]

	FieldUser      = "user" // the user as a whole
	FieldEmail     = "email"
	FieldFirstName = "first_name"
	FieldLastName  = "last_name"
	FieldRole      = "role"
	FieldPassword  = "password"
)

// InvalidError says what is wrong with an input, for people, by field. Nothing was written.
type InvalidError struct{ Fields map[string]string }

func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid input: %v", e.Fields)
}

// First returns the first field that is wrong, by name, and what is wrong with it.
func (e *InvalidError) First() (field, problem string) {
	field = slices.Min(slices.Collect(maps.Keys(e.Fields)))
	return field, e.Fields[field]
}

// invalid returns the error of one field.
func invalid(field, problem string) error { return &InvalidError{fields{field: problem}} }

// ConflictError says that a row has been changed since it was read. Nothing was written.
type ConflictError struct {
	Now any // the row as it is now: a [Project], [Task] or [Subtask]
}

func (e *ConflictError) Error() string { return "the row has been changed since it was read" }

// Dependents counts what belongs to a row.
type Dependents struct{ Tasks, Subtasks int64 }

// DependentsError says that a row cannot be deleted for what belongs to it, which the [Removal] does not move away, and which is
// not what it says may be deleted too. Nothing was deleted.
type DependentsError struct{ Dependents }

func (e *DependentsError) Error() string {
	return fmt.Sprintf("%d tasks and %d subtasks belong to it", e.Tasks, e.Subtasks)
}

// Removal says what becomes of what belongs to a row that is deleted. The zero value is for a row to which nothing belongs.
type Removal struct {
	MoveTo int64       // the row of the same kind to which it is moved; 0: it is not moved; below 0: to one that is still to be chosen
	With   *Dependents // if it is exactly this, it is deleted too
}

// fields collects what is wrong with an input.
type fields map[string]string

func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return &InvalidError{f}
}

// name checks a name, and takes the blanks around it away.
func (f fields) name(name *string) {
	*name = strings.TrimSpace(*name)
	f.line(FieldName, "A name", *name, MaxName)
}

// line checks a text by [LineProblem].
func (f fields) line(field, what, text string, longest int) {
	if problem := LineProblem(what, text, longest); problem != "" {
		f[field] = problem
	}
}

// LineProblem says, of what a person calls "A name" or so, what is wrong with a text that must be one line of which something can be
// seen, of at most so many letters (code points). It is empty for nothing.
func LineProblem(what, text string, longest int) string {
	switch {
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return what + " is one line of text."
	case !visible(text):
		return what + " is needed."
	case utf8.RuneCountInString(text) > longest:
		return fmt.Sprintf("%s has at most %d letters.", what, longest)
	}
	return ""
}

// details checks a text of several lines. They end as PostgreSQL's do, and not as those of a form.
func (f fields) details(text *string) {
	*text = strings.ReplaceAll(strings.TrimSpace(*text), "\r\n", "\n")
	control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	switch {
	case !utf8.ValidString(*text):
		f[FieldDetails] = "The details must be UTF-8 text."
	case strings.ContainsFunc(*text, control):
		f[FieldDetails] = "The details must not have control characters."
	case utf8.RuneCountInString(*text) > MaxDetails:
		f[FieldDetails] = fmt.Sprintf("The details have %d letters: at most %d are possible.", utf8.RuneCountInString(*text), MaxDetails)
	}
}

// visible reports whether anything can be seen of a text.
func visible(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) })
}

// exists checks that the tenant has a row of that id. Another tenant's row is as none.
func (f fields) exists(db *gorm.DB, field, noun string, model any, id int64) error {
	var there int64
	if id > 0 {
		if err := db.Model(model).Where("id = ?", id).Count(&there).Error; err != nil {
			return err
		}
	}
	switch {
	case there > 0:
	case id <= 0:
		f[field] = fmt.Sprintf("Choose a %s.", noun)
	default:
		f[field] = fmt.Sprintf("There is no %s #%d here.", noun, id)
	}
	return nil
}

func contextOf(db *gorm.DB) context.Context { return db.Statement.Context }

// Allowed returns nil if the context's [Actor] may do an operation, else [ErrSignInRequired] or a [*NotAllowedError]: for pages that lead
// to one. The managers ask by themselves.
func (m Models) Allowed(ctx context.Context, o Operation) error { return allowed(ctx, o) }

// isBroken reports whether a statement failed for a foreign key: what was there when it was looked for has gone, or something has
// come. The transaction that the statement ran in is over.
func isBroken(db *gorm.DB, err error) bool {
	translator, ok := db.Dialector.(gorm.ErrorTranslator)
	return ok && err != nil && errors.Is(translator.Translate(err), gorm.ErrForeignKeyViolated)
}

// row is a row that people write.
type row interface{ Project | Task | Subtask }

// update changes a row if it has a version still, and returns it as it is afterwards. If it has another one, that is a [*ConflictError].
func update[T row](db *gorm.DB, id int64, version int, values map[string]any, get func(int64) (T, error)) (now T, err error) {
	values["version"] = gorm.Expr("version + 1")
	result := db.Model(&now).Where("id = ? AND version = ?", id, version).Updates(values)
	if result.Error != nil {
		return now, result.Error
	}
	if now, err = get(id); err == nil && result.RowsAffected == 0 {
		err = &ConflictError{now}
	}
	return now, err
}

// hold locks a row that is to be deleted, and the one that gets what belongs to it, always in one order. It returns [ErrNotFound],
// a [*ConflictError] or an [*InvalidError].
func hold[T row](tx *gorm.DB, id int64, version int, moveTo int64, noun string) error {
	var held []struct {
		ID      int64
		Version int
	}
	err := tx.Model(new(T)).Select("id, version").Where("id IN ?", []int64{id, moveTo}).Order("id").
		Clauses(clause.Locking{Strength: "UPDATE"}).Find(&held).Error
	if err != nil {
		return err
	}
	found, target := -1, moveTo == 0
	for _, row := range held {
		if row.ID == id {
			found = row.Version
		} else {
			target = true
		}
	}
	switch {
	case found < 0:
		return ErrNotFound
	case found != version:
		var now T
		if err := tx.Where("id = ?", id).Take(&now).Error; err != nil {
			return err
		}
		return &ConflictError{now}
	case moveTo == id:
		return &InvalidError{fields{FieldMoveTo: fmt.Sprintf("Choose another %s than the one that is deleted.", noun)}}
	case moveTo < 0:
		return &InvalidError{fields{FieldMoveTo: fmt.Sprintf("Choose a %s.", noun)}}
	case !target:
		return &InvalidError{fields{FieldMoveTo: fmt.Sprintf("There is no %s #%d here.", noun, moveTo)}}
	}
	return nil
}
