package web

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// document is what the test reads of the OpenAPI document.
type document struct {
	t      testing.TB
	root   map[string]any
	schema *jsonschema.Compiler
}

func readDocument(t testing.TB) document {
	t.Helper()
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPIDocument))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("openapi.json", root))
	return document{t, root.(map[string]any), compiler}
}

// at follows keys into a JSON document.
func at[T any](node any, keys ...string) T {
	for _, key := range keys {
		node = node.(map[string]any)[key]
	}
	value, _ := node.(T)
	return value
}

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// requireDocumented checks an answer against what the document says of it: status, type and schema.
func (d document) requireDocumented(method, path string, answer got) {
	d.t.Helper()
	content := at[map[string]any](d.root, "paths", path, method, "responses", fmt.Sprint(answer.status), "content")
	require.NotNil(d.t, content, "%s: status %d is not documented: %s", path, answer.status, answer.body)
	require.Contains(d.t, content, answer.contentType, path)
	schema, err := d.schema.Compile(fmt.Sprintf("openapi.json#/paths/%s/%s/responses/%d/content/%s/schema",
		escape(path), method, answer.status, escape(answer.contentType)))
	require.NoError(d.t, err)
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(answer.body))
	require.NoError(d.t, err)
	require.NoError(d.t, schema.Validate(body), "%s: %s", path, answer.body)
}

// got is an answer, read.
type got struct {
	status            int
	contentType, body string
}

func (w *fixture) getJSON(t testing.TB, line, body string, headers ...string) got {
	t.Helper()
	response := w.send(t, line, body, append(headers, "Accept: application/json")...)
	return got{response.StatusCode, response.Header.Get("Content-Type"), bodyOf(t, response)}
}

// hostOf is where a documented path is served.
func hostOf(path string) string {
	if strings.HasPrefix(path, "/tenants") {
		return "localhost"
	}
	return "tenant-0.localhost"
}

func TestOpenAPIDocumentIsTrue(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	w := newFixture(t, single, nil)
	for path, item := range at[map[string]any](d.root, "paths") {
		if item.(map[string]any)["get"] == nil {
			continue
		}
		url := strings.NewReplacer("{page}", "1", "{id}", "1").Replace(path)
		get := func(query string) got { return w.getJSON(t, "GET "+hostOf(path)+" "+url+query, "") }
		d.requireDocumented("get", path, get(""))
		for _, parameter := range at[[]any](item, "get", "parameters") {
			name := at[string](parameter, "name")
			for _, allowed := range at[[]any](parameter, "schema", "enum") {
				answer := get(fmt.Sprintf("?%s=%v", name, allowed))
				require.Equal(t, 200, answer.status, answer.body)
				d.requireDocumented("get", path, answer)
			}
			if at[string](parameter, "in") == "query" && name != "q" {
				answer := get("?" + name + "=-7")
				require.Contains(t, []int{400, 404}, answer.status, "%s?%s=-7", path, name)
				d.requireDocumented("get", path, answer)
			}
		}
	}
}

func TestOpenAPIDocumentsEveryRoute(t *testing.T) {
	t.Parallel()
	documented := at[map[string]any](readDocument(t).root, "paths")
	require.NotEmpty(t, documented)
	w := newFixture(t, single, nil)
	for _, route := range w.site.router().Routes() {
		if route.Method == "OPTIONS" || forPeople(route.Path) {
			continue
		}
		path := strings.Replace(route.Path, ":id", "{id}", 1)
		if strings.HasSuffix(path, "/{id}") {
			path += ".json"
		}
		if strings.HasSuffix(path, ".json") && path != "/openapi.json" || route.Method == "POST" {
			method := strings.ToLower(strings.Replace(route.Method, "HEAD", "GET", 1))
			require.NotNil(t, at[map[string]any](any(documented), path)[method], "%s %s is not documented", route.Method, route.Path)
		}
	}
}

// forPeople is true of the forms that programs have no business with.
func forPeople(path string) bool {
	if slices.ContainsFunc([]string{"/new", "/edit", "/delete"}, func(suffix string) bool { return strings.HasSuffix(path, suffix) }) {
		return true
	}
	return slices.ContainsFunc([]string{"/sign-", "/reset/", "/account/", "/users/", "/tenants/"}, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

func TestOpenAPICompletion(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	w := newFixture(t, single, nil)
	const path, json = "/subtask/{id}/complete", "Content-Type: application/json"
	for _, c := range []struct {
		line, body string
		status     int
		headers    []string
	}{
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": true}`, 200, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": false}`, 200, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `{}`, 400, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": "maybe"}`, 400, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `"`, 400, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": true, "x": "` + strings.Repeat("x", maxBody) + `"}`, 413, []string{json}},
		{"POST tenant-0.localhost /subtask/0/complete", `{"complete": true}`, 404, []string{json}},
		{"POST tenant-0.localhost /subtask/999/complete", `{"complete": true}`, 404, []string{json}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": true}`, 403, []string{json, "Sec-Fetch-Site: cross-site"}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": true}`, 401, []string{json, nobody}},
		{"POST tenant-0.localhost /subtask/1/complete", `{"complete": true}`, 401, []string{json, "Authorization: Bearer tnd_wrong"}},
		{"POST localhost /subtask/1/complete", `{"complete": true}`, 403, []string{json}},
		{"POST asleep.localhost /subtask/1/complete", `{"complete": true}`, 503, []string{json}},
	} {
		answer := w.getJSON(t, c.line, c.body, c.headers...)
		require.Equal(t, c.status, answer.status, "%s %.40s: %s", c.line, c.body, answer.body)
		d.requireDocumented("post", path, answer)
	}
}
