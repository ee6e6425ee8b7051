package web

import (
	"html/template"
	"reflect"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

// fragments keeps parts of pages that many requests show alike: a row of a list, a link to a page, an option. A template
// takes microseconds for each value that it writes, which for the ten rows of a page comes to more than all else that
// this process does for it.
//
// A fragment's template sees nothing but its value, and the value, whole, is the key. So what is kept is never out of
// date, and whoever is shown it had all of it in hand already: it cannot be another tenant's.
type fragments struct {
	templates *template.Template // of parts.html
	kept      *lru.Cache[fragment, template.HTML]
}

type fragment struct {
	template string
	value    any // comparable
}

// maxFragments bounds what is kept, to some 15 MB of rows.
const maxFragments = 8192

func newFragments() *fragments {
	f := &fragments{}
	f.templates = parseParts(f)
	var err error
	if f.kept, err = lru.New[fragment, template.HTML](maxFragments); err != nil {
		panic(err) // only for a size below one
	}
	return f
}

// each writes the values of a slice, one after the other, each by the named template of parts.html. The templates call it.
func (f *fragments) each(name string, values any) (template.HTML, error) {
	var b strings.Builder
	for _, value := range reflect.ValueOf(values).Seq2() {
		html, err := f.once(name, value.Interface())
		if err != nil {
			return "", err
		}
		b.WriteString(string(html))
	}
	return template.HTML(b.String()), nil
}

// once writes a value, unless that has been done before.
func (f *fragments) once(name string, value any) (template.HTML, error) {
	key := fragment{name, value}
	if html, ok := f.kept.Get(key); ok {
		return html, nil
	}
	var b strings.Builder
	if err := f.templates.ExecuteTemplate(&b, name, value); err != nil {
		return "", err
	}
	html := template.HTML(b.String())
	f.kept.Add(key, html)
	return html, nil
}
