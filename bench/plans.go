package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"tenanted/bench/load"
)

// plans shows how PostgreSQL executes the pages' queries, as the application sends them: the server itself writes
// each plan into its log (auto_explain). A page is asked for several times first, since PostgreSQL settles on a plan
// for a prepared statement after five executions.
func (b *bench) plans(ctx context.Context, d *document, subtasks int64, big int) error {
	d.section("Plans")
	err := b.sql(ctx, mainDatabase, "load 'auto_explain'")
	if err != nil {
		d.para("This server has no auto_explain (Debian: it comes with postgresql): no plans.")
		return nil
	}
	settings := []string{"session_preload_libraries = 'auto_explain'", `"auto_explain.log_min_duration" = 0`, `"auto_explain.log_analyze" = on`, `"auto_explain.log_buffers" = on`}
	for _, role := range []string{"tenanted", "tenanted_owner"} {
		for _, s := range settings {
			if err := b.sql(ctx, mainDatabase, fmt.Sprintf("alter role %s set %s", role, s)); err != nil {
				return err
			}
		}
		defer func() { _ = b.sql(context.WithoutCancel(ctx), mainDatabase, "alter role "+role+" reset all") }()
	}
	app, err := b.serve(ctx, "PGDATABASE="+mainDatabase)
	if err != nil {
		return err
	}
	d.para("As the application's own statements were executed (auto_explain, `EXPLAIN (ANALYZE, BUFFERS)`), the seventh time. `set_config` beside each, which carries the tenant, is left out.")
	last := fmt.Sprintf("/subtasks/%d/", b.lastOf(ctx, big))
	middle := fmt.Sprintf("/subtasks/%d/", max(1, subtasks/20))
	for _, page := range []struct {
		name string
		load.Request
	}{
		{"A tenant's first page", tenantPage(0, firstPage)},
		{"The big tenant's last page", tenantPage(big, last)},
		{"All tenants, middle page", load.Request{Host: "localhost", Path: middle}},
	} {
		page.Anew = true
		text, err := b.explain(ctx, app, page.Request)
		if err != nil {
			return err
		}
		d.para("### %s", page.name)
		for _, plan := range text {
			d.code(plan)
		}
	}
	return app.stop()
}

// explain asks for a page, and returns the plans of the statements that the last request made.
func (b *bench) explain(ctx context.Context, app *process, r load.Request) ([]string, error) {
	var before int64
	log := filepath.Join(b.localDir(), "server.log")
	for range 7 {
		info, err := os.Stat(log)
		if err != nil {
			return nil, err
		}
		before = info.Size()
		if err := get(ctx, app.addr, r); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	return plansIn(string(text[before:])), nil
}

func get(ctx context.Context, addr string, r load.Request) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+r.Path, nil)
	if err != nil {
		return err
	}
	request.Host = r.Host
	if r.Anew {
		request.Header.Set("Cache-Control", "no-cache")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s answered %s", r.Host, r.Path, response.Status)
	}
	return err
}

var logEntry = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d .*?(LOG|WARNING|ERROR|FATAL|DETAIL|STATEMENT|CONTEXT):  `)

// plansIn returns the plans in a piece of the server's log, but for those of set_config.
func plansIn(log string) (plans []string) {
	starts := append(logEntry.FindAllStringIndex(log, -1), []int{len(log), len(log)})
	for i, at := range starts[:len(starts)-1] {
		entry := log[at[1]:starts[i+1][0]]
		duration, plan, ok := strings.Cut(entry, "plan:\n")
		if !ok || strings.Contains(plan, "set_config('app.tenant_id'") || strings.Contains(plan, "set_config('transaction_read_only'") {
			continue
		}
		plans = append(plans, strings.TrimSpace(duration)+"\n"+strings.ReplaceAll(strings.TrimPrefix(plan, "\t"), "\n\t", "\n"))
	}
	return plans
}
