// Package floor is the least that the list of subtasks can cost: net/http, a pool of pgx connections, three queries
// and html/template, with nothing of the project's. It knows the tenant by the number in the host's name, and
// confines its queries by hand. Whatever the application takes beyond it is what the application adds.
//
// Its page has the same rows, columns, forms and links as the application's, and about the same size.
package floor

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const pageSize = 10

const countSQL = `select count(*) from subtasks where account_id = $1`

// pageSQL finds the keys of the page first and joins then, as the application does.
const pageSQL = `
select p.account_id, p.id, p.name, t.id, t.name, s.id, s.name, s.complete, s.details
from (select id from subtasks where account_id = $1 order by name, id limit $2 offset $3) page
join subtasks s on s.account_id = $1 and s.id = page.id
join tasks t on t.account_id = s.account_id and t.id = s.task_id
join projects p on p.account_id = t.account_id and p.id = t.project_id
order by s.name, s.id`

const projectsSQL = `select id, name from projects where account_id = $1 order by name, id limit 201`

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

type row struct {
	AccountID   int64
	Account     string `db:"-"`
	ProjectID   int64
	Project     string
	TaskID      int64
	Task        string
	ID          int64
	Name        string
	Complete    bool
	DetailsHead string
	DetailsTail string `db:"-"` // what does not show at once
}

type project struct {
	ID   int64
	Name string
}

type page struct {
	Tenant                  string
	Projects                []project // to choose from
	Rows                    []row
	Current, Previous, Next int64
	Pages, Count            int64
	Links                   []int64
}

// Handler serves the list's pages at /subtasks/ and /subtasks/N/.
func Handler(pool *pgxpool.Pool) http.Handler {
	show := func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.ParseInt(r.PathValue("page"), 10, 64)
		if err != nil {
			number = 1
		}
		slug, _, _ := strings.Cut(r.Host, ".")
		tenant, err := strconv.ParseInt(strings.TrimPrefix(slug, "tenant-"), 10, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		p, err := load(r.Context(), pool, tenant+1, number)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		p.Tenant = slug
		for i := range p.Rows {
			p.Rows[i].Account = slug // ours has the name from its directory, which remembers it
		}
		var b bytes.Buffer
		if err := pageTemplate.Execute(&b, p); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
		_, _ = w.Write(b.Bytes())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /subtasks/{$}", show)
	mux.HandleFunc("GET /subtasks/{page}/{$}", show)
	return mux
}

func load(ctx context.Context, pool *pgxpool.Pool, tenant, number int64) (page, error) {
	p := page{Current: number, Previous: number - 1, Next: number + 1}
	if err := pool.QueryRow(ctx, countSQL, tenant).Scan(&p.Count); err != nil {
		return page{}, fmt.Errorf("count: %w", err)
	}
	rows, err := pool.Query(ctx, pageSQL, tenant, pageSize, (number-1)*pageSize)
	if err != nil {
		return page{}, err
	}
	if p.Rows, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row]); err != nil {
		return page{}, fmt.Errorf("page: %w", err)
	}
	for i := range p.Rows {
		p.Rows[i].clamp()
	}
	if rows, err = pool.Query(ctx, projectsSQL, tenant); err != nil {
		return page{}, err
	}
	if p.Projects, err = pgx.CollectRows(rows, pgx.RowToStructByPos[project]); err != nil {
		return page{}, fmt.Errorf("projects: %w", err)
	}
	p.link()
	return p, nil
}

// clamp cuts long details, as the application does, into what shows and what opens.
func (r *row) clamp() {
	const most = 80
	if len(r.DetailsHead) > most {
		cut := max(0, strings.LastIndexByte(r.DetailsHead[:most], ' '))
		r.DetailsHead, r.DetailsTail = r.DetailsHead[:cut], r.DetailsHead[cut:]
	}
}

func (p *page) link() {
	p.Pages = max(1, (p.Count+pageSize-1)/pageSize)
	for n := max(1, p.Current-10); n <= min(p.Pages, p.Current+9); n++ {
		p.Links = append(p.Links, n)
	}
}
