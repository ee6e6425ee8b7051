package tenanthttp

import (
	"net/http"
	"net/netip"
	"strings"
)

// Chain returns the source that asks several in turn: the first one that names a tenant decides, and an error of one that was
// asked ends the search. A source goes on with the request as those before it returned it.
//
//	Chain(domain, subdomain, Header("X-Tenant"))
func Chain(sources ...Source) Source {
	return func(r *http.Request) (slug string, rest *http.Request, err error) {
		for _, source := range sources {
			if slug, r, err = source(r); err != nil || slug != "" {
				break
			}
		}
		return slug, r, err
	}
}

// Domain returns the source that takes a host name that is neither one of the base domains nor below one for a tenant's own, as
// app.acme.com, by which the [Directory] must know the tenant. Put it before [Subdomain] in a [Chain]. An address, and a name
// without a dot, is nobody's own; a malformed host is a *HostError.
//
// Errors are those of [ParseBaseDomains].
func Domain(bases ...string) (Source, error) {
	bases, err := ParseBaseDomains(bases...)
	if err != nil {
		return nil, err
	}
	return func(r *http.Request) (string, *http.Request, error) {
		_, err := slugOf(r.Host, bases)
		host, _, ok := SplitHost(r.Host)
		switch {
		case err == nil:
			return "", r, nil // at or below a base domain
		case !ok:
			return "", r, err
		case !strings.Contains(host, ".") || !ValidName(host):
			return "", r, nil
		}
		return host, r, nil
	}, nil
}

const forwardedHost = "X-Forwarded-Host"

// Forwarded returns the source that names no tenant itself, and has those after it in a [Chain], and the handlers, see as the
// host what X-Forwarded-Host says, for a proxy that replaces the Host header. Only requests that come from one of the proxies'
// addresses are believed; of others the header is ignored. Who is believed and sends it more than once, or a list in it, gets
// a *HostError.
func Forwarded(proxies ...netip.Prefix) Source {
	return func(r *http.Request) (string, *http.Request, error) {
		values := r.Header.Values(forwardedHost)
		if len(values) == 0 || !from(r, proxies) {
			return "", r, nil
		}
		host := strings.Join(values, ", ")
		if _, _, ok := SplitHost(host); !ok {
			return "", r, &HostError{Host: host, Reason: "in " + forwardedHost + " is malformed"}
		}
		forwarded := *r
		forwarded.Host = host
		return "", &forwarded, nil
	}
}

// from reports whether a request comes from one of the proxies.
func from(r *http.Request, proxies []netip.Prefix) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false // not by TCP
	}
	address := peer.Addr().Unmap().WithZone("")
	for _, proxy := range proxies {
		if proxy.Contains(address) {
			return true
		}
	}
	return false
}
