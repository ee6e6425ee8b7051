package web

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/klauspost/compress/gzip"

	"tenanted/scopes"
)

// kept keeps pages of subtasks that were shown, to show them again as long as nothing was written. One question asks
// PostgreSQL whether that is so, and takes a tenth of the time that a page does.
//
// The answer to it is the server's snapshot: which transactions are over. Two snapshots that are alike see the same
// rows, in every database of the server and by whatever way they were written; so a page made after one, and asked for
// when it is still the same, would come out the same. (A page may be newer than its snapshot, never older.) Every
// transaction that writes, whoever's it is, makes all pages old: what is kept helps those who read, and costs those who
// write nothing.
//
// A page is kept for all that it depends on beside the rows: the tenant, the host, the view, the form. So it is shown to
// nobody but the same tenant. A request with "Cache-Control: no-cache", as a browser sends it to reload, gets it anew.
type kept struct {
	mu    sync.Mutex
	pages *lru.LRU[keptKey, keptPage]
	bytes int
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
	compressed func() []byte // the body by gzip, made when it is first wanted
}

// maxKept bounds the bytes of the pages that are kept, those compressed, a fifth, not counted. One of ten rows has 13 kB.
const maxKept = 32 << 20

func newKept() *kept {
	k := &kept{}
	var err error
	k.pages, err = lru.NewLRU(maxKept, func(_ keptKey, p keptPage) { k.bytes -= len(p.body) })
	if err != nil {
		panic(err) // only for a size below one
	}
	return k
}

// get returns the page if nothing was written since it was made.
func (k *kept) get(key keptKey, snapshot string) (keptPage, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.pages.Get(key)
	return p, ok && p.snapshot == snapshot
}

// put keeps the page, in place of those that were shown longest ago.
func (k *kept) put(key keptKey, snapshot string, p page) {
	p.body = bytes.Clone(p.body) // without the room that it grew in
	compressed := sync.OnceValue(func() []byte { return compress(p.body) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pages.Remove(key)
	k.pages.Add(key, keptPage{snapshot, p, compressed})
	k.bytes += len(p.body)
	for k.bytes > maxKept {
		k.pages.RemoveOldest()
	}
}

// keeping is what a request leaves for [site.respond] to keep its page by.
type keeping struct {
	key      keptKey
	snapshot string
}

const keepingKey = "keeping"

// showKept shows the view's page if it is kept, and reports whether it did. Otherwise what the request comes to is kept.
// The context is the one that the page is made with. Without an answer to the question the page is made anew.
func (s *site) showKept(c *gin.Context, ctx context.Context, view subtaskView, numbered time.Time) (shown bool) {
	if s.Snapshot == nil || strings.Contains(c.GetHeader("Cache-Control"), "no-cache") {
		return false
	}
	if _, err := c.Request.Cookie(flashCookie); err == nil {
		return false // a message is for once
	}
	snapshot, err := s.Snapshot(ctx)
	if err != nil || snapshot == "" {
		return false
	}
	tenant, _ := scopes.FromContext(ctx)
	key := keptKey{tenant, c.Request.Host, view, wantsJSON(c.Request), numbered}
	p, shown := s.kept.get(key, snapshot)
	if !shown {
		c.Set(keepingKey, keeping{key, snapshot})
		return false
	}
	if acceptsGzip(c.Request) {
		p.body, p.encoding = p.compressed(), "gzip"
	}
	p.show(c, http.StatusOK)
	return true
}

// keep keeps a page that is about to be shown, if the request is one for that.
func (s *site) keep(c *gin.Context, p page) {
	value, _ := c.Get(keepingKey)
	if k, ok := value.(keeping); ok {
		s.kept.put(k.key, k.snapshot, p)
	}
}

// acceptsGzip reports whether the client takes gzip. Pages that are made anew are compressed behind the handlers.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(coding, " ", ""), ";q=")
		if q, err := strconv.ParseFloat(weight, 64); strings.EqualFold(name, "gzip") && (weight == "" || err == nil && q > 0) {
			return true
		}
	}
	return false
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // into memory, which does not fail
	_ = w.Close()
	return b.Bytes()
}
