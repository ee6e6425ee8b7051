package tenanthttp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

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

// One tenant with many requests leaves room for the others. The limiter stands between the middleware, which finds the
// tenant, and the application.
func ExampleLimiter() {
	limiter := tenanthttp.NewLimiter(tenanthttp.Limits{Total: 100, PerTenant: 1, MaxWait: 10 * time.Millisecond})
	arrived, finish := make(chan bool), make(chan bool)
	application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/report" {
			arrived <- true
			<-finish // takes its time
		}
	})
	site := limiter.Wrap(application, nil)
	get := func(id int, path string) int {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		site.ServeHTTP(w, r.WithContext(scopes.WithTenant(r.Context(), scopes.Tenant{ID: id}))) // Middleware's part
		return w.Code
	}

	report := make(chan int)
	go func() { report <- get(1, "/report") }()
	<-arrived
	fmt.Println("tenant 1, beside its report:", get(1, "/orders"))
	fmt.Println("tenant 2:", get(2, "/orders"))
	finish <- true
	fmt.Println("the report:", <-report)
	fmt.Println("tenant 1, afterwards:", get(1, "/orders"))
	// Output:
	// tenant 1, beside its report: 503
	// tenant 2: 200
	// the report: 200
	// tenant 1, afterwards: 200
}
