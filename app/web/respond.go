package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/a-h/templ"
	"github.com/gin-gonic/gin"

	"tenanted/models"
	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// answer is what a handler has to say, as a page and as JSON.
type answer struct {
	status int // 0: 200
	title  string
	flash  *flash
	page   templ.Component // for people; nil if only programs ask
	json   func() any      // for programs; nil if only people ask
}

// pageData is what the layout sees.
type pageData struct {
	Title    string
	Tenant   string        // its slug; empty on the bare domain
	Name     string        // what the account is called
	Reader   *models.Actor // who is signed in
	As       *signedInAs   // that it is an operator who is signed in as the reader; nil: it is not
	Operator string        // who is signed in at the bare domain
	SignIn   string        // where to sign in; empty where nobody can, or somebody is
	Others   []navItem     // tenants to go to
	Home     string        // where the brand leads
	Nav      []navItem
	Flash    *flash
	Notice   string // about the last change
}

// fullTitle begins with what tells this page from others, as tabs show only the beginning.
func (p pageData) fullTitle() string {
	if p.Tenant == "" {
		return p.Title + " · Tenanted"
	}
	return p.Title + " · " + p.Tenant + " · Tenanted"
}

type navItem struct {
	Text, URL string
	Current   bool
}

// usualPage is the size, in bytes, that most pages stay within.
const usualPage = 24 << 10

// respond writes the answer in the form that the client prefers. It is written whole or, when rendering fails, not at
// all.
func (s *site) respond(c *gin.Context, a answer) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	contentType, err := s.encode(c, a, b)
	if err != nil {
		panic(err) // our own data cannot be rendered
	}
	write(c, a.status, contentType, b.Bytes())
}

// buffers are for answers: a fifth of what a page allocated was the buffer it is rendered into.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, usualPage)) }}

// write sends the body, or only that the client has it already.
func write(c *gin.Context, status int, contentType string, body []byte) {
	h := c.Writer.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept, Cookie, Authorization")
	if status != http.StatusOK || h.Get("Cache-Control") == "no-store" {
		h.Set("Cache-Control", "no-store") // an unknown tenant may exist a minute later
	} else {
		h.Set("Cache-Control", "private, no-cache") // never shown again without asking
		if hasTag(c, tagOf(c, body)) {
			c.Status(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Status(status)
	if c.Request.Method == http.MethodHead {
		c.Writer.WriteHeaderNow()
		return
	}
	_, _ = c.Writer.Write(body) // an error means that the client has gone
}

// encode renders the answer into b, in the form that the client prefers.
func (s *site) encode(c *gin.Context, a answer, b *bytes.Buffer) (contentType string, err error) {
	if a.page != nil && (a.json == nil || !wantsJSON(c.Request)) {
		return "text/html; charset=utf-8", layout(s.pageData(c, a), a.page).Render(c.Request.Context(), b)
	}
	e := json.NewEncoder(b)
	e.SetIndent("", "  ")
	err = e.Encode(a.json())
	if a.status >= http.StatusBadRequest {
		return "application/problem+json", err
	}
	return "application/json", err
}

func (s *site) pageData(c *gin.Context, a answer) pageData {
	data := pageData{Title: a.title, Tenant: slug(c), Home: s.home(c), Others: s.others(c), Nav: s.nav(c), Flash: a.flash}
	if a.status == http.StatusOK {
		data.Notice = takeNotice(c)
	}
	if !onBareDomain(c) {
		data.Name, data.Reader = accountName(c), signedIn(c)
		data.As = s.banner(c, data.Reader)
	} else {
		data.Operator = models.OperatorOf(c.Request.Context())
	}
	canSignIn := !onBareDomain(c) || s.Operators != nil && s.ours(c)
	if canSignIn && data.Reader == nil && data.Operator == "" && c.FullPath() != signInPath {
		data.SignIn = signInURL(whereFrom(c))
	}
	return data
}

// tagOf returns the ETag of a body, without quotes. It is another one for each user: what one of them has is not the next one's.
func tagOf(c *gin.Context, body []byte) string {
	sum := sha256.New()
	if actor := signedIn(c); actor != nil {
		fmt.Fprintf(sum, "user %d\n", actor.UserID)
	}
	if name := models.OperatorOf(c.Request.Context()); name != "" {
		fmt.Fprintf(sum, "operator %s\n", name)
	}
	_, _ = sum.Write(body) // never fails
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:15])
}

// hasTag sets the ETag and reports whether the client has what it names. The tag is weak, for it means the
// same content compressed and plain. RFC 9110 has If-None-Match compare weakly, and take * for any.
func hasTag(c *gin.Context, tag string) bool {
	tag = `"` + tag + `"`
	c.Header("ETag", "W/"+tag)
	for have := range strings.SplitSeq(c.GetHeader("If-None-Match"), ",") {
		have = strings.TrimSpace(have)
		if have == "*" || strings.TrimPrefix(have, "W/") == tag {
			return true
		}
	}
	return false
}

// wantsJSON reports whether the client asked for JSON: by the path's ending, by naming it in Accept before HTML or
// instead of it, or by sending JSON and not saying what it takes.
func wantsJSON(r *http.Request) bool {
	if strings.HasSuffix(r.URL.Path, ".json") {
		return true
	}
	asJSON, asHTML := accepted(r.Header.Values("Accept"))
	if asJSON == 0 && asHTML == 0 {
		return isJSON(r)
	}
	return asJSON > asHTML
}

// accepted returns the weights of JSON and HTML where Accept names them. A wildcard names neither.
func accepted(accept []string) (asJSON, asHTML float64) {
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
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
			asJSON = max(asJSON, q)
		case "text/html", "application/xhtml+xml", "text/*":
			asHTML = max(asHTML, q)
		}
	}
	return asJSON, asHTML
}

// isJSON reports whether the request's body is JSON.
func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// nav returns the links to the other pages of this host, and from a tenant to the list of tenants.
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
		if signedIn(c) != nil {
			items = append(items, navItem{"My subtasks", mySubtasks, false})
			add("Users", usersPath)
		}
		if s.Explain != nil {
			add("Why is this isolated?", isolationPath)
		}
		if base := s.base(c); s.List != nil && !s.SignInRequired && base != "" {
			add("All tenants", base+"tenants/")
		}
	case s.SignInRequired && models.OperatorOf(c.Request.Context()) == "":
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

// home is where the brand leads: the first page of this host or, where that is no page, of the base domain.
func (s *site) home(c *gin.Context) string {
	if base := s.base(c); base != "" && !s.ours(c) {
		return base
	}
	return "/"
}

// base returns the address of the base domain that the request's host belongs to, or "". For a loopback address that is
// localhost, if it is served: people type 127.0.0.1.
func (s *site) base(c *gin.Context) string {
	host, port, ok := tenanthttp.SplitHost(c.Request.Host)
	if !ok {
		return ""
	}
	if port != "" {
		port = ":" + port
	}
	for _, base := range s.Hosts {
		if host == base || strings.HasSuffix(host, "."+base) {
			return "//" + base + port + "/"
		}
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err == nil && address.IsLoopback() && slices.Contains(s.Hosts, "localhost") {
		return "//localhost" + port + "/"
	}
	return ""
}

// absolute completes an address of this site for programs. The scheme is that of the connection or, behind a proxy, what
// X-Forwarded-Proto says.
func absolute(c *gin.Context, url string) string {
	scheme := "http:"
	if overTLS(c.Request) {
		scheme = "https:"
	}
	switch {
	case url == "":
		return ""
	case strings.HasPrefix(url, "//"):
		return scheme + url
	default:
		return scheme + "//" + c.Request.Host + url
	}
}

func slug(c *gin.Context) string { return currentTenant(c).Slug }

// currentTenant returns the request's tenant, which is none on the bare domain.
func currentTenant(c *gin.Context) scopes.Tenant {
	tenant, _ := scopes.FromContext(c.Request.Context())
	return tenant
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
