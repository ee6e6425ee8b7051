package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"
)

//go:embed static
var staticFiles embed.FS

const staticPrefix = "/static/"

// asset is a static file, and the tag that changes when its content does.
type asset struct {
	content []byte
	tag     string
}

var assets = readAssets()

// contentTypes are those of the files we have. Nothing else is served.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml",
	".md":  "text/plain; charset=utf-8",
}

func readAssets() map[string]asset {
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err)
	}
	all := map[string]asset{}
	for _, file := range files {
		content, err := staticFiles.ReadFile(path.Join("static", file.Name()))
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		all[file.Name()] = asset{content, hex.EncodeToString(sum[:8])}
	}
	return all
}

// assetURL returns where a file is, with its tag: the answer may be kept for ever. It panics for a file
// that is not there.
func assetURL(name string) string {
	a, ok := assets[name]
	if !ok {
		panic("no static file " + name)
	}
	return staticPrefix + name + "?v=" + a.tag
}

// static serves one of the embedded files.
func (s *site) static(c *gin.Context) {
	name := c.Param("name")
	a, ok := assets[name]
	if !ok {
		s.fail(c, s.notFound(c))
		return
	}
	h := c.Writer.Header()
	h.Set("Content-Type", contentTypes[path.Ext(name)])
	h.Set("Cache-Control", "public, no-cache")
	if c.Query("v") == a.tag {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if hasTag(c, a.tag) {
		c.Status(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, h.Get("Content-Type"), a.content)
}
