package web

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"
	"github.com/rivo/uniseg"
)

// The pages are templ components, compiled into *_templ.go.
//
//go:generate go tool templ generate

// The lengths of texts, in grapheme clusters, which are what a person takes for letters, and in lines.
const (
	maxHead   = 80    // shown of a long text before it is opened
	maxTail   = 5_000 // shown of it after that
	maxOption = 60    // of an option, which cannot be opened
	maxLines  = 6     // shown of a text with many lines before it is opened
	maxMarks  = 4     // on a letter
)

// text is a text of the database as prose shows it: Tail opens on demand.
type text struct{ Head, Tail, label string }

const noName = "(no name)"

// nameText is a name, which is never shown as nothing.
func nameText(s string) text { return cut(s, noName) }

// shortName is a name where nothing opens: in an option, or in a message.
func shortName(s string, n int) string { return cmp.Or(short(clean(s), n), noName) }

// detailsText may be empty.
func detailsText(s string) text { return cut(s, "") }

// cut cuts a long text after some lines, or a word, or after a grapheme cluster where a word is long. A short one has no
// tail.
func cut(s, label string) text {
	s = clean(s)
	head, rest := firstClusters(s, maxHead+maxHead/4)
	if rest != "" {
		head, _ = firstClusters(s, maxHead)
		if i := strings.LastIndexByte(head, ' '); i > len(head)/2 {
			head = head[:i]
		}
	}
	head = firstLines(head, maxLines)
	if head == s {
		return text{Head: s, label: label}
	}
	tail, rest := firstClusters(s[len(head):], maxTail)
	if rest != "" {
		tail += "…"
	}
	return text{head, tail, label}
}

// firstLines returns at most n lines of s.
func firstLines(s string, n int) string {
	end := 0
	for range n {
		i := strings.IndexByte(s[end:], '\n')
		if i < 0 {
			return s
		}
		end += i + 1
	}
	return s[:end-1]
}

// clean returns what HTML can show of a text: valid UTF-8 without control characters, and with so few marks on a letter
// that they stay within its line. A text in which nothing can be seen is empty.
func clean(s string) string {
	if plain(s) {
		return strings.TrimSpace(s)
	}
	s = strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
	marks, visible := 0, false
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return r
		case unicode.IsControl(r):
			return '\uFFFD'
		case r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks {
				return -1
			}
		case unicode.IsGraphic(r): // a joiner is not, and a mark after it is on the same letter
			marks, visible = 0, visible || !unicode.IsSpace(r)
		}
		return r
	}, s)
	if !visible && !strings.ContainsRune(s, '\uFFFD') && marks == 0 {
		return ""
	}
	return s
}

// plain reports whether a text is printable ASCII, as most are: there is nothing to clean.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// short returns at most n grapheme clusters of s, with a sign that there are more.
func short(s string, n int) string {
	head, rest := firstClusters(s, n)
	if rest != "" {
		head += "…"
	}
	return head
}

// maxCluster is the most bytes that a cluster has on average: a letter may have any number of marks.
const maxCluster = 32

// firstClusters splits s after its first n grapheme clusters.
func firstClusters(s string, n int) (head, rest string) {
	if len(s) <= n { // a cluster has at least one byte
		return s, ""
	}
	if isASCII(s[:n+1]) { // and there exactly one, but for a line break that this may part
		return s[:n], s[n:]
	}
	most := n * maxCluster
	rest = s
	for state := -1; n > 0 && rest != "" && len(s)-len(rest) < most; n-- {
		_, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
	}
	end := len(s) - len(rest)
	if end > most {
		for end = most; !utf8.RuneStart(s[end]); end-- {
		}
	}
	return s[:end], s[end:]
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// current marks the link to the page that is shown.
func current(is bool) templ.Attributes {
	if !is {
		return nil
	}
	return templ.Attributes{"aria-current": "page"}
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func completeText(done bool) string {
	if done {
		return "Reopen"
	}
	return "Mark done"
}

func stateText(done bool) string {
	if done {
		return "done"
	}
	return "open"
}

func circleClass(done bool) string { return "circle " + stateText(done) }
