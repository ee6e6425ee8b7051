package web

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// maxChoices bounds the rows that a select offers. Of more, the number is typed.
const maxChoices = 200

// noun is a kind of row that people write. Its forms, its JSON and their handlers are the same for all kinds; what differs
// is here.
type noun struct {
	name       string // "task"
	list       string // the path of a list that leads to it
	fields     []field
	deleting   models.Operation
	choices    func(context.Context, values) (map[string][]choice, error)
	get        func(ctx context.Context, id int64) (record, error)
	create     func(ctx context.Context, v values, key string) (record, error)
	update     func(ctx context.Context, id int64, version int, v values) (record, error)
	delete     func(ctx context.Context, id int64, version int, r models.Removal) error
	dependents func(ctx context.Context, id int64) (models.Dependents, error)  // nil: nothing belongs to one
	others     func(ctx context.Context) (rows []choice, more bool, err error) // to which that could be moved
}

// record is a row of a noun.
type record struct {
	ID          int64
	Version     int
	Label, Name string
	Path        string // of its page
	Above       string // of the page of what it belongs to
	values      values
	json        any
}

// route registers handlers by method, those of GET for HEAD too, and lets OPTIONS say so.
func route(r gin.IRoutes, path string, handlers map[string]gin.HandlerFunc) {
	var allow []string
	for _, method := range []string{"GET", "HEAD", "POST", "PATCH", "DELETE"} {
		handler := handlers[method]
		if method == "HEAD" {
			handler = handlers["GET"]
		}
		if handler != nil {
			r.Handle(method, path, handler)
			allow = append(allow, method)
		}
	}
	r.OPTIONS(path, options(strings.Join(append(allow, "OPTIONS"), ", ")))
}

// writing registers the pages that write rows of a noun, and its JSON but for what is served with its lists.
func (s *site) writing(r gin.IRoutes, n noun, show func(*gin.Context) error) {
	h := func(handler func(*gin.Context, noun) error) gin.HandlerFunc {
		return s.handle(onTenant(func(c *gin.Context) error { return handler(c, n) }))
	}
	one := "/" + n.name + "/:id"
	route(r, "/"+n.name+"s/new", map[string]gin.HandlerFunc{"GET": h(s.newForm), "POST": h(s.create)})
	route(r, one, map[string]gin.HandlerFunc{"GET": s.handle(onTenant(jsonOrSlash(show))), "PATCH": h(s.change), "DELETE": h(s.remove)})
	get(r, one+"/", s.handle(onTenant(show)))
	route(r, one+"/edit", map[string]gin.HandlerFunc{"GET": h(s.editForm), "POST": h(s.edit)})
	route(r, one+"/delete", map[string]gin.HandlerFunc{"GET": h(s.deleteForm), "POST": h(s.confirmDelete)})
}

// onTenant serves a tenant's own address only.
func onTenant(handler func(*gin.Context) error) func(*gin.Context) error {
	return func(c *gin.Context) error {
		if onBareDomain(c) {
			return refuse(http.StatusNotFound, "This is shown on a tenant's own address.")
		}
		return handler(c)
	}
}

// jsonOrSlash serves /task/3.json, and sends /task/3 on to /task/3/.
func jsonOrSlash(show func(*gin.Context) error) func(*gin.Context) error {
	return func(c *gin.Context) error {
		if strings.HasSuffix(c.Param("id"), ".json") {
			return show(c)
		}
		return addSlash(c)
	}
}

// missing says which row is not there.
func missing(err error, noun string, id int64) error {
	if errors.Is(err, models.ErrNotFound) {
		return refuse(http.StatusNotFound, "There is no %s #%d here.", noun, id)
	}
	return err
}

// record returns the row that the path names.
func (n noun) record(c *gin.Context) (record, error) {
	id, err := idOf(c, n.name)
	if err != nil {
		return record{}, err
	}
	found, err := n.get(c.Request.Context(), id)
	return found, missing(err, n.name, id)
}

// formView is a form as the template shows it.
type formView struct {
	Heading, Action, Submit string
	Back                    string // where to go instead
	Return                  string // see returnField
	Key                     string
	Version                 int
	Problem                 string // what is wrong, beside what is wrong with the fields
	Fields                  []formField
	Differences             []difference // between what was typed and the row as it is now, after a conflict
	wrong                   map[string]string
}

// difference is a field that has been changed by somebody else.
type difference struct{ Label, Now, Yours string }

// newForm shows the form of a new row. The query may fill in fields.
func (s *site) newForm(c *gin.Context, n noun) error {
	if err := s.Models.Allowed(c.Request.Context(), models.EditWork); err != nil {
		return err
	}
	v := values{}
	for _, f := range n.fields {
		if f.kind == rowNumber {
			v[f.Name] = c.Query(f.Name)
		}
	}
	return s.showNew(c, n, http.StatusOK, v, rand.Text(), "", nil)
}

func (s *site) showNew(c *gin.Context, n noun, status int, v values, key, problem string, wrong map[string]string) error {
	back := returnTo(c)
	form := formView{Heading: "New " + n.name, Action: "/" + n.name + "s/new", Submit: "Create " + n.name,
		Back: cmp.Or(back, n.list), Return: back, Key: typed(key), Problem: problem, wrong: wrong}
	return s.showForm(c, n, status, form, v)
}

// showForm fills in the fields and answers with the form.
func (s *site) showForm(c *gin.Context, n noun, status int, form formView, v values) error {
	choices, err := n.choices(c.Request.Context(), v)
	if err != nil {
		return err
	}
	form.Fields = formFields(n.fields, v, choices, form.wrong)
	title := form.Heading
	if len(form.wrong) > 0 || form.Problem != "" {
		title = "Not saved: " + title
	}
	s.respond(c, answer{status: status, title: title, page: workForm(form), json: func() any { return nil }})
	return nil
}

// create makes a row, as a form or a JSON document says.
func (s *site) create(c *gin.Context, n noun) error {
	in, err := readForm(c, n.fields)
	if err != nil {
		return err
	}
	made, err := n.create(c.Request.Context(), in.values, in.key)
	if invalid, ok := errors.AsType[*models.InvalidError](err); ok {
		return s.showNew(c, n, http.StatusUnprocessableEntity, in.values, in.key, "", invalid.Fields)
	}
	if errors.Is(err, models.ErrKeyUsed) {
		const problem = "This form was sent before, and has created something else. Send it again to create this too."
		return s.showNew(c, n, http.StatusConflict, in.values, rand.Text(), problem, nil)
	}
	if err != nil {
		return err
	}
	leaveNotice(c, "created", n.name, made.ID)
	redirect(c, http.StatusSeeOther, withReturn(made.Path, returnTo(c)))
	return nil
}

// createJSON is create for programs.
func (s *site) createJSON(n noun) gin.HandlerFunc {
	return s.handle(onTenant(func(c *gin.Context) error {
		in, err := readFields(c, n.fields)
		if err != nil {
			return err
		}
		made, err := n.create(c.Request.Context(), in.values, in.key)
		if err != nil {
			return err
		}
		c.Header("Location", absolute(c, strings.TrimSuffix(made.Path, "/")+".json"))
		s.respond(c, answer{status: http.StatusCreated, json: func() any { return made.json }})
		return nil
	}))
}

func (s *site) editForm(c *gin.Context, n noun) error {
	if err := s.Models.Allowed(c.Request.Context(), models.EditWork); err != nil {
		return err
	}
	r, err := n.record(c)
	if err != nil {
		return err
	}
	return s.showForm(c, n, http.StatusOK, s.formOf(c, r), r.values)
}

func (s *site) formOf(c *gin.Context, r record) formView {
	back := returnTo(c)
	return formView{Heading: "Edit " + r.Label, Action: r.Path + "edit", Submit: "Save", Back: withReturn(r.Path, back), Return: back, Version: r.Version}
}

// edit changes a row as a form says.
func (s *site) edit(c *gin.Context, n noun) error {
	r, err := n.record(c)
	if err != nil {
		return err
	}
	in, err := readForm(c, n.fields)
	if err != nil {
		return err
	}
	form := s.formOf(c, r)
	form.Version = in.version
	_, err = n.update(c.Request.Context(), r.ID, in.version, in.values)
	if invalid, ok := errors.AsType[*models.InvalidError](err); ok {
		form.wrong = invalid.Fields
		return s.showForm(c, n, http.StatusUnprocessableEntity, form, in.values)
	}
	if errors.As(err, new(*models.ConflictError)) {
		return s.showConflict(c, n, r.ID, in.values)
	}
	if err != nil {
		return missing(err, n.name, r.ID)
	}
	leaveNotice(c, "saved", n.name, r.ID)
	redirect(c, http.StatusSeeOther, form.Back)
	return nil
}

// showConflict shows what was typed beside the row as it is now. Sent once more, the form writes over that.
func (s *site) showConflict(c *gin.Context, n noun, id int64, v values) error {
	now, err := n.get(c.Request.Context(), id)
	if err != nil {
		return missing(err, n.name, id)
	}
	choices, err := n.choices(c.Request.Context(), now.values)
	if err != nil {
		return err
	}
	form := s.formOf(c, now)
	form.Submit = "Save mine instead"
	form.Problem = fmt.Sprintf("%s has been changed by somebody else since you opened it. Nothing is saved yet.", now.Label)
	was, mine := formFields(n.fields, now.values, choices, nil), formFields(n.fields, v, choices, nil)
	for i := range n.fields {
		if was[i].Value != mine[i].Value {
			form.Differences = append(form.Differences, difference{was[i].Label, was[i].text(), mine[i].text()})
		}
	}
	return s.showForm(c, n, http.StatusConflict, form, v)
}

// text is a field's value for people.
func (f formField) text() string {
	for _, c := range f.Choices {
		if c.Selected && c.Value != "" {
			return c.Text
		}
	}
	switch {
	case f.Value == "" && f.none != "":
		return f.none
	case f.kind == rowNumber && f.Value != "":
		return f.Label + " #" + f.Value
	}
	return f.Value
}

// change is edit for programs: the document says what is changed, and of which version.
func (s *site) change(c *gin.Context, n noun) error {
	r, err := n.record(c)
	if err != nil {
		return err
	}
	in, err := readFields(c, n.fields)
	if err != nil {
		return err
	}
	if in.version == 0 {
		return refuse(http.StatusPreconditionRequired, "Say which version is changed: this one is %d.", r.Version)
	}
	changed := maps.Clone(r.values)
	maps.Copy(changed, in.values)
	now, err := n.update(c.Request.Context(), r.ID, in.version, changed)
	if err != nil {
		return missing(err, n.name, r.ID)
	}
	s.respond(c, answer{json: func() any { return now.json }})
	return nil
}
