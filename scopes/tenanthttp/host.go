package tenanthttp

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	maxHostLength = 253 // of a host name, RFC 1035
	maxSlugLength = 63  // of a label
)

// HostError says that a request's Host header is malformed, or names a host we do not serve.
type HostError struct {
	Host   string   // as it was sent
	Served []string // the base domains; empty: not known
	Reason string   // what is wrong with it
}

// Error returns one line, with what to do where that is known.
func (e *HostError) Error() string {
	if len(e.Served) == 0 {
		return fmt.Sprintf("host %q %s", e.Host, e.Reason)
	}
	return fmt.Sprintf("host %q %s: use %s or a tenant's subdomain of it", e.Host, e.Reason, strings.Join(e.Served, " or "))
}

// ParseBaseDomains returns base domains in lower case, each once, the longest first: of example.com and app.example.com
// the second owns its subdomains. A leading dot, with which Django means a domain and all below it, is taken off. It
// returns an error that names the entry if one is malformed or has a port, or if there is none.
func ParseBaseDomains(written ...string) ([]string, error) {
	var bases []string
	for _, entry := range written {
		host, port, ok := SplitHost(strings.TrimPrefix(strings.TrimSpace(entry), "."))
		if !ok || port != "" {
			return nil, fmt.Errorf("%q is not a domain: list base domains, such as localhost or example.com", entry)
		}
		bases = append(bases, host)
	}
	if len(bases) == 0 {
		return nil, errors.New("no base domain: list at least one, such as example.com")
	}
	slices.SortFunc(bases, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return slices.Compact(bases), nil
}

// isAddress reports whether a host is an IP address, which has no subdomains.
func isAddress(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return host[0] == '[' || strings.Trim(last, "0123456789") == ""
}

// ValidSlug reports whether s can be a tenant's slug: one lower-case DNS label.
func ValidSlug(s string) bool {
	if s == "" || len(s) > maxSlugLength || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isLabelByte(s[i]) {
			return false
		}
	}
	return true
}

// ValidName reports whether s can name a tenant: a slug, or a host name of its own, in lower case and with a dot.
func ValidName(s string) bool {
	if !strings.Contains(s, ".") {
		return ValidSlug(s)
	}
	return isHostName(s) && !isAddress(s)
}

// SplitHost splits what a Host header says into the host name, in lower case and without a trailing dot,
// and the port, "" when there is none. An IPv6 address keeps its brackets. ok is false when it is not
// a host name or address with at most a numeric port: user names, underscores, blanks, letters
// beyond ASCII and empty labels are all refused, since a host is never a place for cleverness.
func SplitHost(header string) (host, port string, ok bool) {
	host, port, ok = cutPort(header)
	if !ok {
		return "", "", false
	}
	host = lower(host)
	if strings.HasPrefix(host, "[") {
		return host, port, isIPv6(host)
	}
	host = strings.TrimSuffix(host, ".")
	return host, port, isHostName(host)
}

// cutPort takes ":digits" off the end.
func cutPort(header string) (host, port string, ok bool) {
	i := strings.LastIndexByte(header, ':')
	if i < 0 || strings.HasSuffix(header, "]") {
		return header, "", true
	}
	host, port = header[:i], header[i+1:]
	if port == "" || len(port) > len("65535") || strings.Trim(port, "0123456789") != "" {
		return "", "", false
	}
	return host, port, true
}

func isIPv6(bracketed string) bool {
	inner, closed := strings.CutSuffix(bracketed[1:], "]")
	if !closed || strings.Contains(inner, "%") {
		return false
	}
	addr, err := netip.ParseAddr(inner)
	return err == nil && addr.Is6()
}

func isHostName(host string) bool {
	if host == "" || len(host) > maxHostLength {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if !isLabelByte(label[i]) {
				return false
			}
		}
	}
	return true
}

// lower lowers ASCII letters only: strings.ToLower makes an ASCII k of the Kelvin sign.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func isLabelByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
}
