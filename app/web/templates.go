package web

import (
	"bytes"
	"embed"
	"html/template"
	"path"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates holds every page within the layout, by the page's name. They are part of the program, so one
// that does not parse ends it at the start.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	layout := template.Must(parseParts(newFragments()).ParseFS(templateFiles, "templates/layout.html")).Lookup("layout.html")
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err)
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, path.Join("templates", file.Name())))
	}
	return pages
}

// parseParts returns the templates that every page may use.
func parseParts(f *fragments) *template.Template {
	parts := template.New("parts.html").Funcs(template.FuncMap{"asset": assetURL, "cut": cut, "each": f.each})
	return template.Must(parts.ParseFS(templateFiles, "templates/parts.html"))
}

// usualPage is the size, in bytes, that most pages stay within.
const usualPage = 24 << 10

// render returns the page in its layout.
func render(name string, data pageData) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(usualPage)
	err := templates[name].Execute(&b, data)
	return b.Bytes(), err
}

// maxHead is how many letters of a long text show before it is opened.
const maxHead = 80

// text is a text as the template "text" shows it: Tail opens on demand. Like all that a template ranges over it has
// no methods, for which a template would look, by name, each time it comes to a field.
type text struct{ Head, Tail string }

// cut cuts a long text after a word. A short one has no tail.
func cut(s string) text {
	if len(s) <= maxHead+maxHead/4 { // in bytes, of which a letter has one at least
		return text{Head: s}
	}
	runes := []rune(s)
	if len(runes) <= maxHead+maxHead/4 {
		return text{Head: s}
	}
	head := string(runes[:maxHead])
	if i := strings.LastIndexByte(head, ' '); i > maxHead/2 {
		head = head[:i]
	}
	return text{head, s[len(head):]}
}
