package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"tenanted/scopes"
)

// answer is what a handler has to say, as a page and as JSON.
type answer struct {
	status   int // 0: 200
	template string
	title    string
	flash    *flash
	body     any        // for the template
	json     func() any // for programs
}

// pageData is what the layout sees.
type pageData struct {
	Title  string
	Tenant string // its slug; empty on the bare domain
	Nav    []navItem
	Flash  *flash
	Body   any
}

type navItem struct {
	Text, URL string
	Current   bool
}

// respond writes the answer in the form that the client prefers. It is written whole or, when the
// template fails, not at all.
func (s *site) respond(c *gin.Context, a answer) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	p, err := s.encode(c, a)
	if err != nil {
		panic(err) // a template and its data do not fit: ours to mend
	}
	if a.status == http.StatusOK {
		p.tag = tagOf(p.body)
	}
	p.show(c, a.status)
}

// page is an answer as it goes out.
type page struct {
	body        []byte
	contentType string
	tag         string // its ETag
	encoding    string // empty: as it is
}

// show writes the page, or only that the client has it already.
func (p page) show(c *gin.Context, status int) {
	h := c.Writer.Header()
	h.Set("Content-Type", p.contentType)
	h.Add("Vary", "Accept")
	if status != http.StatusOK {
		h.Set("Cache-Control", "no-store") // a tenant that is unknown now may be there in a minute
	} else {
		h.Set("Cache-Control", "private, no-cache") // never shown again without asking
		if hasTag(c, p.tag) {
			c.Status(http.StatusNotModified)
			return
		}
	}
	if p.encoding != "" {
		h.Set("Content-Encoding", p.encoding)
	}
	h.Set("Content-Length", strconv.Itoa(len(p.body)))
	c.Status(status)
	if c.Request.Method == http.MethodHead {
		c.Writer.WriteHeaderNow()
		return
	}
	_, _ = c.Writer.Write(p.body) // an error means that the client has gone
}

func (s *site) encode(c *gin.Context, a answer) (page, error) {
	if !wantsJSON(c.Request) {
		body, err := render(a.template, pageData{a.title, slug(c), s.nav(c), a.flash, a.body})
		return page{body: body, contentType: "text/html; charset=utf-8"}, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(a.json())
	if a.status >= http.StatusBadRequest {
		return page{body: b.Bytes(), contentType: "application/problem+json"}, err
	}
	return page{body: b.Bytes(), contentType: "application/json"}, err
}

// tagOf returns what names the body in an ETag.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// hasTag sets the ETag and reports whether the client has what it names. The tag is weak, for it means the
// same content compressed and plain.
func hasTag(c *gin.Context, tag string) bool {
	tag = `W/"` + tag + `"`
	c.Header("ETag", tag)
	for have := range strings.SplitSeq(c.GetHeader("If-None-Match"), ",") {
		if strings.TrimSpace(have) == tag {
			return true
		}
	}
	return false
}

// wantsJSON reports whether the client asked for JSON: by the path's ending, or because it prefers JSON
// to HTML.
func wantsJSON(r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, ".json") {
		return true
	}
	json, html := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			q = 1
		}
		switch kind {
		case "application/json", "application/problem+json":
			json = max(json, q)
		case "text/html", "application/xhtml+xml", "text/*", "*/*":
			html = max(html, q)
		}
	}
	return json > html
}

// nav returns the links to the other pages of this host.
func (s *site) nav(c *gin.Context) []navItem {
	var items []navItem
	add := func(text, url string) {
		items = append(items, navItem{text, url, strings.HasPrefix(c.FullPath(), strings.TrimSuffix(url, "/"))})
	}
	switch {
	case !s.ours(c):
		return nil
	case !onBareDomain(c):
		add("Subtasks", "/subtasks/")
		add("Projects", "/projects/")
	default:
		if s.List != nil {
			add("Tenants", "/tenants/")
		}
		if s.AllTenants {
			add("All subtasks", "/subtasks/")
		}
	}
	return items
}

// ours reports whether the host is the bare domain or a tenant's: one that has the pages of the menu.
func (s *site) ours(c *gin.Context) bool {
	if !onBareDomain(c) {
		return true
	}
	name, _, err := s.resolve.Source(c.Request)
	return err == nil && name == ""
}

func slug(c *gin.Context) string {
	tenant, err := scopes.FromContext(c.Request.Context())
	if err != nil {
		return ""
	}
	return tenant.Slug
}

// addSlash sends a path on to the same with a slash at its end, and keeps the query.
func addSlash(c *gin.Context) error {
	target := c.Request.URL.EscapedPath() + "/"
	if c.Request.URL.RawQuery != "" {
		target += "?" + c.Request.URL.RawQuery
	}
	redirect(c, http.StatusMovedPermanently, target)
	return nil
}

// redirect sends the client to a path of this host, with a query or without.
func redirect(c *gin.Context, status int, target string) {
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		panic(fmt.Sprintf("redirect to %q, which is no path of this host", target))
	}
	http.Redirect(c.Writer, c.Request, target, status)
}
