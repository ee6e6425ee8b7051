package tenanthttp

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
)

// Subdomain returns the source that takes the tenant from the host name: slug + "." + one of the base
// domains, with any port. A base domain itself names no tenant. Every other host is a *HostError; what
// stands before the base domain and cannot be a slug is returned as it is, since no tenant has it.
//
// Errors are those of [ParseBaseDomains].
func Subdomain(bases ...string) (Source, error) {
	bases, err := ParseBaseDomains(bases...)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request) (string, *http.Request, error) {
		slug, err := slugOf(r.Host, bases)
		return slug, r, err
	}, nil
}

func slugOf(header string, bases []string) (string, error) {
	refuse := func(reason string) (string, error) {
		return "", &HostError{Host: header, Served: bases, Reason: reason}
	}
	host, _, ok := SplitHost(header)
	switch {
	case header == "":
		return refuse("is missing")
	case !ok:
		return refuse("is malformed")
	}
	for _, base := range bases {
		if host == base {
			return "", nil
		}
		if slug, found := strings.CutSuffix(host, "."+base); found && !isAddress(base) {
			return slug, nil
		}
	}
	return refuse("is not served here")
}

// Header returns the source that takes the slug from a request header. Use it only behind a proxy that
// sets the header itself, since a client that can set it chooses the tenant. A header sent twice is an error.
func Header(name string) Source {
	return func(r *http.Request) (string, *http.Request, error) {
		values := r.Header.Values(name)
		switch len(values) {
		case 0:
			return "", r, nil
		case 1:
			return values[0], r, nil
		}
		return "", r, fmt.Errorf("%w: header %s is there %d times, send it once", ErrNoTenant, name, len(values))
	}
}

// PathPrefix returns the source that takes the slug from the path segment after prefix, as in
// /t/acme/orders with the prefix "/t/", and goes on with the rest of the path, /orders. A path outside
// the prefix names no tenant and stays as it is. The prefix must begin and end with a slash; PathPrefix
// panics otherwise.
func PathPrefix(prefix string) Source {
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") {
		panic(fmt.Sprintf("tenanthttp: path prefix %q does not begin and end with a slash", prefix))
	}
	return func(r *http.Request) (string, *http.Request, error) {
		rest, found := strings.CutPrefix(r.URL.Path, prefix)
		if !found {
			return "", r, nil
		}
		slug, _, _ := strings.Cut(rest, "/")
		return slug, withoutPrefix(r, prefix+slug), nil
	}
}

// withoutPrefix returns a copy of r whose path lacks prefix. The escaped form is dropped when the prefix
// is not a literal part of it; a slug never needs escaping, so nothing is lost for a valid one.
func withoutPrefix(r *http.Request, prefix string) *http.Request {
	out := r.Clone(r.Context())
	out.URL.Path = cmp.Or(strings.TrimPrefix(r.URL.Path, prefix), "/")
	raw, found := strings.CutPrefix(r.URL.RawPath, prefix)
	if !found || !strings.HasPrefix(raw, "/") {
		raw = ""
	}
	out.URL.RawPath = raw
	return out
}
