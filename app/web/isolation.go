package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"tenanted/scopes"
)

// Explainer shows a tenant how it is kept apart from the others. It may be used by several goroutines at once.
type Explainer interface {
	// Record returns a context whose statements are kept as those of the tenant's last page, from when done is called.
	Record(ctx context.Context, page string) (recording context.Context, done func())
	// Explain says what keeps the context's tenant apart, and what that did for its last page.
	Explain(ctx context.Context) (Explanation, error)
	// Attacks returns what may be tried as the context's tenant.
	Attacks(ctx context.Context) ([]Attack, error)
	// Try makes the attack of that name as the context's tenant. What it changes is changed back.
	Try(ctx context.Context, name string) (Attempt, error)
}

// Explanation is how a tenant is kept apart.
type Explanation struct {
	Configuration string      `json:"configuration"`
	Database      string      `json:"database"`
	Schema        string      `json:"schema"`
	Others        int         `json:"others"` // tenants in the same tables; below zero: not known
	Layers        []Layer     `json:"layers"`
	Page          string      `json:"page"` // the tenant's last page; empty: none yet
	Statements    []Statement `json:"statements"`
}

// Layer is one of those that keep tenants apart.
type Layer struct {
	Name     string   `json:"name"`
	Checks   int      `json:"checks"`   // that found it in force, where the tenant's rows are
	Problems []string `json:"problems"` // found by the others
	Did      string   `json:"did"`      // for the last page
	Code     string   `json:"code,omitempty"`
}

// Statement is one that was sent to PostgreSQL.
type Statement struct {
	Pieces []Piece       `json:"pieces"`
	Took   time.Duration `json:"took_ns"`
}

// Piece is a part of a statement.
type Piece struct {
	Text   string `json:"text"`
	Tenant bool   `json:"tenant"` // it confines the statement to the tenant
}

// Attack is something that a program's mistake could do.
type Attack struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Attempt is what came of an attack.
type Attempt struct {
	Attack
	Statement string `json:"statement"`
	Came      string `json:"came"`
	Stopped   string `json:"stopped"` // by which layer; empty: by none
}

// isolationPage is what the template shows.
type isolationPage struct {
	Explanation
	Slug    string   `json:"slug"`
	Attacks []Attack `json:"attacks"`
	Tried   *Attempt `json:"tried,omitempty"`
}

// recordPage keeps the statements of a tenant's page, where they are to be explained.
func (s *site) recordPage(c *gin.Context) {
	if s.Explain == nil || onBareDomain(c) || c.Request.Method != http.MethodGet || c.FullPath() == isolationPath {
		return
	}
	ctx, done := s.Explain.Record(c.Request.Context(), c.Request.URL.RequestURI())
	c.Request = c.Request.WithContext(ctx)
	defer done()
	c.Next()
}

const isolationPath = "/isolation/"

// isolation shows how the tenant is kept apart.
func (s *site) isolation(c *gin.Context) error { return s.showIsolation(c, nil) }

// tryAttack makes an attack, and shows what came of it.
func (s *site) tryAttack(c *gin.Context) error {
	if onBareDomain(c) {
		return s.notFound(c)
	}
	attacks, err := s.Explain.Attacks(c.Request.Context())
	if err != nil {
		return err
	}
	name := c.PostForm("attack")
	if !slices.ContainsFunc(attacks, func(a Attack) bool { return a.Name == name }) {
		return refuse(http.StatusBadRequest, "There is no attack of that name.")
	}
	attempt, err := s.Explain.Try(c.Request.Context(), name)
	if err != nil {
		return err
	}
	return s.showIsolation(c, &attempt)
}

func (s *site) showIsolation(c *gin.Context, tried *Attempt) error {
	if onBareDomain(c) {
		return s.notFound(c)
	}
	ctx := c.Request.Context()
	explanation, err := s.Explain.Explain(ctx)
	if err != nil {
		return err
	}
	attacks, err := s.Explain.Attacks(ctx)
	if err != nil {
		return err
	}
	page := isolationPage{explanation, slug(c), attacks, tried}
	s.respond(c, answer{title: "Isolation", page: isolationView(page), json: func() any { return page }})
	return nil
}

// Where says where the tenant's rows are.
func (p isolationPage) Where() string {
	text := fmt.Sprintf("%s · database %s, schema %s", p.Configuration, p.Database, p.Schema)
	switch {
	case p.Others == 1:
		return text + " · shared with one other tenant"
	case p.Others > 1:
		return fmt.Sprintf("%s · shared with %s other tenants", text, thousands(int64(p.Others)))
	}
	return text
}

func checksText(n int) string {
	if n == 1 {
		return "1 check"
	}
	return thousands(int64(n)) + " checks"
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// here is what the header calls the tenant: its name and slug.
func (p pageData) here() string {
	for _, other := range p.Others {
		if other.Current {
			return other.Text
		}
	}
	return p.Tenant
}

// switcher knows where the other tenants are, for the header.
type switcher struct {
	mutex   sync.Mutex
	entries []TenantEntry
	until   time.Time
}

const (
	switcherFor = 5 * time.Second
	maxSwitches = 20
)

// others returns some tenants to go to, those that are served. A list that cannot be had is none.
func (s *site) others(c *gin.Context) []navItem {
	own, err := scopes.FromContext(c.Request.Context())
	base := s.base(c)
	if s.Explain == nil || s.List == nil || err != nil || base == "" {
		return nil
	}
	s.switcher.mutex.Lock()
	defer s.switcher.mutex.Unlock()
	if time.Now().After(s.switcher.until) {
		s.switcher.entries, _ = s.List(c.Request.Context(), TenantsByID)
		s.switcher.until = time.Now().Add(switcherFor)
	}
	var items []navItem
	for _, e := range s.switcher.entries {
		if e.State == "active" && len(items) < maxSwitches {
			items = append(items, navItem{shortName(cmp.Or(e.Name, e.Slug), maxOption) + " · " + e.Slug, "//" + e.Slug + "." + base[2:], e.Slug == own.Slug})
		}
	}
	return items
}
