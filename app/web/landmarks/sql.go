package landmarks

import "fmt"

// order is the list's, and the columns of the index subtasks_all.
const order = "name, account_id, id"

// The numbers in LIMIT are part of the text. With parameters in their place PostgreSQL expects a tenth of the
// table, finds its general plan too dear, and so plans each execution anew, for five times the work.
var (
	// walkSQL goes from one landmark to the next. It takes a quarter of the time that row_number() takes. The
	// first landmark is before all rows, so that a new first row is not left out.
	walkSQL = fmt.Sprintf(`
WITH RECURSIVE landmarks AS (
	SELECT '' AS name, 0::bigint AS account_id, 0::bigint AS id
	UNION ALL
	SELECT next.* FROM landmarks AS l, LATERAL (
		SELECT %[1]s FROM subtasks AS s WHERE (s.name, s.account_id, s.id) >= (l.name, l.account_id, l.id)
		ORDER BY %[1]s LIMIT 1 OFFSET %[2]d
	) AS next
) SELECT * FROM landmarks`, order, Step)

	// tailSQL needs its ORDER BY: without one PostgreSQL may look for the few rows in the whole table.
	tailSQL = fmt.Sprintf(`
SELECT count(*) FROM (
	SELECT FROM subtasks WHERE (%[1]s) >= (?, ?, ?) ORDER BY %[1]s LIMIT %[2]d
) AS tail`, order, maxTail)
)

// pageSQL takes the window that the page is in and the page's size; its parameters are the landmark and the
// number of rows to leave out after it.
const pageSQL = `
SELECT account_id, id FROM (
	SELECT ` + order + ` FROM subtasks WHERE (` + order + `) >= (?, ?, ?) ORDER BY ` + order + ` LIMIT %d
) AS behind ORDER BY ` + order + ` LIMIT %d OFFSET ?`

// noneSQL returns the keys of no row.
const noneSQL = `SELECT account_id, id FROM subtasks LIMIT 0`
