package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/gin-gonic/gin"

	"tenanted/models"
)

// kind is what a field of a form takes.
type kind int

const (
	oneLine kind = iota
	manyLines
	rowNumber // of another row, which a select offers
)

// field is a field of a noun's form, and of its JSON document.
type field struct {
	Name, Label string
	kind        kind
	max         int    // letters
	none        string // the choice of no row; empty: one is needed
	Required    bool
}

// values are what the fields say, as text. A row's number is empty for no row.
type values map[string]string

// id returns the number of a row: 0 for none, -1 for what is no number.
func (v values) id(name string) int64 {
	if v[name] == "" {
		return 0
	}
	if id, ok := parseID(v[name]); ok {
		return id
	}
	return -1
}

// parseID reads the number of a row: digits only.
func parseID(text string) (id int64, ok bool) {
	number, err := strconv.ParseUint(text, 10, 63) // which takes no sign
	return int64(number), err == nil && number > 0
}

func numText(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// The further fields of a form, and of a JSON document.
const (
	versionField = "version" // of the row that the form was filled with
	keyField     = "key"     // the form's own, so that one that is sent twice creates once
	returnField  = "return"  // where the reader came from
	maxKey       = 100
)

// sent is what a request says of a row.
type sent struct {
	values
	version int    // 0: none said
	key     string // empty: none said
}

// readForm reads the fields of a form, and takes nothing else of it. What it does not have is empty.
func readForm(c *gin.Context, fields []field) (s sent, err error) {
	kind, _, _ := mime.ParseMediaType(c.Request.Header.Get("Content-Type"))
	if kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" {
		return s, refuse(http.StatusUnsupportedMediaType, "The request must be a form.")
	}
	err = c.Request.ParseMultipartForm(maxBody)
	if errors.As(err, new(*http.MaxBytesError)) {
		return s, err
	}
	if err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return s, refuse(http.StatusBadRequest, "The form cannot be read.")
	}
	form := c.Request.PostForm
	s.values = values{}
	for _, f := range fields {
		s.values[f.Name] = form.Get(f.Name)
	}
	s.version = parseVersion(form.Get(versionField))
	s.key = form.Get(keyField)
	return s, nil
}

func parseVersion(text string) int {
	version, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(version)
}

// readFields reads a JSON document that has some of the fields, and nothing else.
func readFields(c *gin.Context, fields []field) (s sent, err error) {
	if !isJSON(c.Request) {
		return s, refuse(http.StatusUnsupportedMediaType, "The request must be JSON.")
	}
	document, err := decodeObject(c.Request.Body)
	if err != nil {
		return s, err
	}
	s.values = values{}
	for _, f := range fields {
		if err := s.take(document, f); err != nil {
			return s, err
		}
	}
	if raw, ok := document[versionField]; ok {
		if s.version = parseVersion(string(raw)); s.version == 0 {
			return s, refuse(http.StatusBadRequest, "version must be a number from 1.")
		}
		delete(document, versionField)
	}
	for _, name := range slices.Sorted(maps.Keys(document)) {
		return s, refuse(http.StatusBadRequest, "%q cannot be set here. Give only: %s.", short(name, maxHead), fieldNames(fields))
	}
	if s.key = c.GetHeader("Idempotency-Key"); len(s.key) > maxKey {
		return s, refuse(http.StatusBadRequest, "Idempotency-Key has more than %d letters.", maxKey)
	}
	return s, nil
}

// take moves a field's value from the document to s.
func (s sent) take(document map[string]json.RawMessage, f field) error {
	raw, ok := document[f.Name]
	if !ok {
		return nil
	}
	delete(document, f.Name)
	if f.kind != rowNumber {
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil || text == nil {
			return refuse(http.StatusBadRequest, "%s must be a text.", f.Name)
		}
		s.values[f.Name] = *text
		return nil
	}
	if s.values[f.Name] = string(raw); s.values[f.Name] == "null" && f.none != "" {
		s.values[f.Name] = ""
	} else if s.id(f.Name) < 1 {
		return refuse(http.StatusBadRequest, "%s must be a number from 1.", f.Name)
	}
	return nil
}

func fieldNames(fields []field) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return strings.Join(append(names, versionField), ", ")
}

// decodeObject reads a JSON object, after which nothing may follow.
func decodeObject(body io.Reader) (document map[string]json.RawMessage, err error) {
	d := json.NewDecoder(body)
	err = d.Decode(&document)
	if err == nil {
		_, err = d.Token()
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, err
	case errors.Is(err, io.EOF) && document != nil:
		return document, nil
	}
	return nil, refuse(http.StatusBadRequest, "The body must be one JSON object.")
}

// formField is a field as the template shows it.
type formField struct {
	field
	Value, Error string
	Choices      []choice // nil: a number is typed
	Focus        bool
}

// ID is the element's.
func (f formField) ID() string { return "field-" + f.Name }

// describedBy names the error, and the hint, if there are any.
func (f formField) describedBy() string {
	var ids []string
	if f.Error != "" {
		ids = append(ids, f.ID()+"-error")
	}
	if f.Hint() != "" {
		ids = append(ids, f.ID()+"-hint")
	}
	return strings.Join(ids, " ")
}

// Hint says what is to be typed where it is not clear.
func (f formField) Hint() string {
	if f.kind != rowNumber || f.Choices != nil {
		return ""
	}
	return fmt.Sprintf("Its number, as in “%s #38”: there are too many to choose from.", f.Label)
}

// Multiline and Choose say which element it is.
func (f formField) Multiline() bool { return f.kind == manyLines }

// Choose reports whether one of some rows is chosen.
func (f formField) Choose() bool { return f.Choices != nil }

// formFields fills the fields of a form.
func formFields(fields []field, v values, choices map[string][]choice, wrong map[string]string) []formField {
	out := make([]formField, len(fields))
	focused := false
	for i, f := range fields {
		out[i] = formField{field: f, Value: typed(v[f.Name]), Error: wrong[f.Name]}
		if offered := choices[f.Name]; offered != nil {
			none := f.none
			if none == "" {
				none = "Choose one"
			}
			out[i].Choices = selected(append([]choice{{"", none, false}}, offered...), v[f.Name])
		}
		if out[i].Error != "" && !focused {
			out[i].Focus, focused = true, true
		}
	}
	return out
}

// typed is what somebody has typed, as far as HTML can show it.
func typed(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// attributes say that a field is needed, what is wrong with it, and that the keyboard goes there.
func (f formField) attributes() templ.Attributes {
	a := templ.Attributes{}
	if f.Required {
		a["required"] = true
	}
	if f.Error != "" {
		a["aria-invalid"] = "true"
	}
	if ids := f.describedBy(); ids != "" {
		a["aria-describedby"] = ids
	}
	if f.Focus {
		a["autofocus"] = true
	}
	return a
}

func versionText(n int) string   { return strconv.Itoa(n) }
func plainNumber(n int64) string { return strconv.FormatInt(n, 10) }
func belong(d models.Dependents) string {
	if d.Tasks+d.Subtasks == 1 {
		return "belongs"
	}
	return "belong"
}
