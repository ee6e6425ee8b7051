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
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{
		"asset": assetURL,
		"head":  func(s string) string { return first(splitText(s)) },
		"tail":  func(s string) string { return second(splitText(s)) },
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
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

// render returns the page in its layout.
func render(name string, data pageData) ([]byte, error) {
	var b bytes.Buffer
	err := templates[name].Execute(&b, data)
	return b.Bytes(), err
}

// maxHead is how many letters of a long text show before it is opened.
const maxHead = 80

// splitText cuts a long text after a word, into what shows and what opens. A short text has no second
// part.
func splitText(s string) (head, tail string) {
	runes := []rune(s)
	if len(runes) <= maxHead+maxHead/4 {
		return s, ""
	}
	head = string(runes[:maxHead])
	if i := strings.LastIndexByte(head, ' '); i > maxHead/2 {
		head = head[:i]
	}
	return head, s[len(head):]
}

func first(a, _ string) string  { return a }
func second(_, b string) string { return b }
