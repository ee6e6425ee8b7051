package tenanthttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// The tenant stands before the domain, as in acme.example.com; handlers find it in the context.
func ExampleMiddleware() {
	bySubdomain, err := tenanthttp.Subdomain("example.com")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the orders of %v", scopes.MustFromContext(r.Context()))
	})
	site := tenanthttp.Middleware{Source: bySubdomain, Directory: acme}.Wrap(mux)

	for _, host := range []string{"acme.example.com", "nobody.example.com", "evil.com"} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest("GET", "http://"+host+"/orders", nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 the orders of tenant 7 (acme)
	// 404 no tenant is called "nobody"
	//
	// 400 host "evil.com" is not served here: use example.com or a tenant's subdomain of it
}

// A source is any function of the request, here of the user who is logged in.
func ExampleSource() {
	byUser := func(r *http.Request) (string, *http.Request, error) {
		user, _, _ := r.BasicAuth()
		return map[string]string{"ann": "acme"}[user], r, nil
	}
	site := tenanthttp.Middleware{Source: byUser, Directory: acme}.Wrap(tell)

	r := httptest.NewRequest("GET", "/orders", nil)
	r.SetBasicAuth("ann", "her password, checked elsewhere")
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: /orders 7
}
