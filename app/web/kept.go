package web

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	lru "github.com/hashicorp/golang-lru/v2"

	"tenanted/scopes"
)

// kept keeps pages of subtasks that were shown, to show them again as long as nothing was written. One question asks PostgreSQL
// whether that is so, of the tenant's own database and as the tenant, and takes a fifth of the time that a page does.
//
// The answer to it is the server's snapshot: which transactions are over. Two snapshots that are alike see the same
// rows, by whatever way those were written; so a page made after one, and asked for when it is still the same, would
// come out the same. (A page may be newer than its snapshot, never older.) Every transaction that writes, anywhere on
// the server, makes all pages old: what is kept helps those who read, and costs those who write nothing.
//
// A page is kept for all that it depends on beside the rows: the tenant, the host, the view, the form. So it is shown to
// nobody but the same tenant. A request with "Cache-Control: no-cache", as a browser sends it to reload, gets it anew.
type kept struct {
	pages *lru.Cache[keptKey, keptPage]
}

type keptKey struct {
	tenant   scopes.Tenant // none: all tenants
	host     string
	view     subtaskView
	json     bool
	numbered time.Time // when the rows of the list over all tenants were last numbered
}

type keptPage struct {
	snapshot string
	page
}

// maxKept and maxKeptSize bound what is kept to 32 MB; a page of ten rows has 13 kB.
const (
	maxKept     = 1024
	maxKeptSize = 32 << 10
)

func newKept() kept {
	pages, err := lru.New[keptKey, keptPage](maxKept)
	if err != nil {
		panic(err) // only for a size below one
	}
	return kept{pages}
}

// snapshotSQL is empty on a standby, where a snapshot's text does not name the transactions that are not over. A server
// that was restored from a backup counts its transactions anew, but it starts at another time. (The separator is an
// argument because a statement with one is prepared.)
const snapshotSQL = `select case when not pg_is_in_recovery() then concat_ws(?, pg_current_snapshot(), pg_postmaster_start_time()) end`

// keeping is what a request leaves for [site.respond] to keep its page by.
type keeping struct {
	key      keptKey
	snapshot string
}

const keepingKey = "keeping"

// showKept shows the view's page if it is kept, and reports whether it did. Otherwise what the request comes to is kept.
// The context is the one that the page is made with.
func (s *site) showKept(c *gin.Context, ctx context.Context, view subtaskView, numbered time.Time) (shown bool, err error) {
	if _, err := c.Request.Cookie(flashCookie); err == nil || strings.Contains(c.GetHeader("Cache-Control"), "no-cache") {
		return false, nil // a message is for once
	}
	var snapshot *string
	if err := s.DB.WithContext(ctx).Raw(snapshotSQL, " ").Scan(&snapshot).Error; err != nil || snapshot == nil {
		return false, err
	}
	tenant, _ := scopes.FromContext(ctx)
	key := keptKey{tenant, c.Request.Host, view, wantsJSON(c.Request), numbered}
	if p, ok := s.kept.pages.Get(key); ok && p.snapshot == *snapshot {
		p.show(c, http.StatusOK)
		return true, nil
	}
	c.Set(keepingKey, keeping{key, *snapshot})
	return false, nil
}

// keep keeps a page that is about to be shown, if the request is one for that.
func (s *site) keep(c *gin.Context, p page) {
	value, _ := c.Get(keepingKey)
	if k, ok := value.(keeping); ok && len(p.body) <= maxKeptSize {
		p.body = bytes.Clone(p.body) // without the room that it grew in
		s.kept.pages.Add(k.key, keptPage{k.snapshot, p})
	}
}
