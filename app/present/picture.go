package present

import "fmt"

// picture is a drawing for a slide, on a field 100 wide and of some height.
type picture struct {
	title  string // for those who do not see it
	height int
	shapes []shape
}

// shape is a box with a label, an arrow, or a label alone.
type shape struct {
	x, y, w, h float64
	label      string
	class      string // app, db, a, b, c: whose it is; arrow; wall; text
}

func (p picture) viewBox() string { return fmt.Sprintf("0 0 100 %d", p.height) }

func n(v float64) string { return fmt.Sprintf("%g", v) }

func box(class string, x, y, w, h float64, label string) shape {
	return shape{x, y, w, h, label, class}
}

func arrow(x, y, toX, toY float64) shape { return shape{x, y, toX, toY, "", "arrow"} }

func note(x, y float64, label string) shape { return shape{x: x, y: y, label: label, class: "text"} }

// tenants are three boxes in a row, one for each of three tenants.
func tenants(x, y, w, h, step float64) []shape {
	var shapes []shape
	for i, class := range []string{"a", "b", "c"} {
		shapes = append(shapes, box(class, x+float64(i)*step, y, w, h, []string{"Acme", "Bolt", "Cobalt"}[i]))
	}
	return shapes
}

func draw(title string, height int, shapes ...[]shape) *picture {
	p := &picture{title: title, height: height}
	for _, s := range shapes {
		p.shapes = append(p.shapes, s...)
	}
	return p
}

var (
	picTenant = draw("A tenant is an account: several people work in one, and one person in several.", 46,
		tenants(4, 26, 26, 14, 33),
		[]shape{note(10, 8, "Una"), note(24, 8, "Vito"), note(50, 8, "Wen"), note(80, 8, "Xena"),
			arrow(10, 10, 14, 25), arrow(24, 10, 20, 25), arrow(50, 10, 50, 25), arrow(50, 10, 25, 25), arrow(80, 10, 83, 25)})

	picManyApps = draw("Each tenant has a program and a database of its own.", 46,
		tenants(4, 4, 26, 12, 33), tenants(4, 30, 26, 12, 33),
		[]shape{note(17, 3, "program"), arrow(17, 17, 17, 29), arrow(50, 17, 50, 29), arrow(83, 17, 83, 29), note(17, 28, "database")})

	picDatabases = draw("One program leads each request to the database of its tenant.", 46,
		[]shape{box("app", 34, 3, 32, 12, "one program"), arrow(42, 16, 18, 29), arrow(50, 16, 50, 29), arrow(58, 16, 82, 29)},
		tenants(4, 30, 26, 13, 33))

	picSchemas = draw("One program, one database, and in it a schema for each tenant.", 50,
		[]shape{box("app", 34, 2, 32, 11, "one program"), arrow(50, 14, 50, 20), box("db", 2, 21, 96, 27, ""), note(50, 26, "one database; search_path says which schema")},
		tenants(6, 30, 26, 14, 31))

	picShared = draw("One program, one database, and tables in which each row says whose it is.", 52,
		[]shape{box("app", 34, 2, 32, 11, "one program"), arrow(50, 14, 50, 20), box("db", 12, 21, 76, 30, ""), note(50, 26, "subtasks"),
			box("a", 16, 28, 68, 5, "account_id 1   Write chapter 1"), box("b", 16, 33.5, 68, 5, "account_id 2   Call the printer"),
			box("a", 16, 39, 68, 5, "account_id 1   Write chapter 2"), box("c", 16, 44.5, 68, 5, "account_id 3   Order tea")})

	picWay = draw("A request passes the scope, the session, the keys and row-level security before it reaches a row.", 34,
		[]shape{note(6, 19, "request"), arrow(13, 18, 16, 18), box("wall", 17, 6, 14, 24, "scope"), arrow(32, 18, 35, 18), box("wall", 36, 6, 14, 24, "session"),
			arrow(51, 18, 54, 18), box("wall", 55, 6, 14, 24, "policy"), arrow(70, 18, 73, 18), box("wall", 74, 6, 14, 24, "keys"), arrow(89, 18, 92, 18), box("a", 93, 12, 7, 12, "row")})

	picScope = draw("The scope puts the tenant’s condition beside the caller’s, which it puts into parentheses.", 26,
		[]shape{box("app", 2, 4, 40, 9, "WHERE name = 'x' OR 1 = 1"), arrow(43, 8.5, 50, 8.5), box("a", 51, 4, 20, 9, "account_id = 1"), note(75, 10, "AND"), box("app", 79, 4, 20, 9, "( … OR … )"),
			note(50, 21, "one callback, for every statement on a model")})

	picOutside = draw("Raw SQL goes around the scope; row-level security is below it.", 40,
		[]shape{box("app", 3, 4, 26, 10, "model"), box("app", 3, 24, 26, 10, "raw SQL"), arrow(30, 9, 38, 9), box("wall", 39, 3, 16, 12, "scope"), arrow(56, 9, 68, 16), arrow(30, 29, 68, 22),
			box("wall", 69, 8, 12, 24, "policy"), arrow(82, 20, 87, 20), box("a", 88, 12, 11, 16, "rows")})

	picKeys = draw("With composite keys a subtask can point at a task of its own account only.", 40,
		[]shape{box("a", 4, 4, 36, 10, "task (1, 11)"), box("b", 60, 4, 36, 10, "task (2, 11)"), box("a", 4, 26, 36, 10, "subtask (1, 5)"), arrow(22, 25, 22, 15), arrow(38, 25, 58, 15),
			note(70, 24, "(1, 11) is no key over there")})

	picPolicy = draw("Three connections see three sets of rows of one table: none without a tenant, a tenant’s own, and all for the owner.", 44,
		[]shape{box("app", 2, 2, 32, 9, "no tenant"), box("a", 2, 16, 32, 9, "app.tenant_id = 1"), box("db", 2, 30, 32, 9, "owner, superuser"),
			arrow(35, 6.5, 53, 6.5), arrow(35, 20.5, 53, 20.5), arrow(35, 34.5, 53, 34.5), note(68, 8, "no row"), box("a", 55, 16, 28, 9, "its rows"), box("db", 55, 30, 28, 9, "every row")})

	picPool = draw("A setting of the session stays on the pooled connection; one of the transaction ends with it.", 44,
		[]shape{box("b", 2, 3, 22, 10, "Bolt"), arrow(25, 8, 36, 8), box("db", 37, 3, 28, 10, "tenant_id = 2"), arrow(76, 8, 66, 8), box("a", 77, 3, 21, 10, "Acme"), note(50, 19, "set for the session: Acme reads as Bolt"),
			box("b", 2, 26, 22, 10, "Bolt"), arrow(25, 31, 36, 31), box("db", 37, 26, 28, 10, "begin … commit"), arrow(76, 31, 66, 31), box("a", 77, 26, 21, 10, "Acme"), note(50, 42, "set for the transaction: nothing is left")})

	picReplicas = draw("A primary with a replica for each tenant has two ways: writes go to one place and reads to another, later.", 44,
		[]shape{box("db", 34, 3, 32, 11, "primary"), arrow(42, 15, 18, 29), arrow(50, 15, 50, 29), arrow(58, 15, 82, 29)}, tenants(4, 30, 26, 12, 33))
)
