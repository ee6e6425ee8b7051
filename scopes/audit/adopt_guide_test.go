package audit_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// section is a part of docs/adopt.md, from one heading of the second level to the next.
type section struct {
	title  string
	blocks []block
	finds  []string // the defects that the audit is said to find; nil if nothing is said
}

// block is a fenced block.
type block struct{ language, tag, text string }

var (
	saysFinds = regexp.MustCompile(`finds(?: the same)?: (.+)$`)
	inQuotes  = regexp.MustCompile("`([^`]+)`")
)

// readGuide returns the sections of docs/adopt.md by the first word of their titles.
func readGuide(t *testing.T) map[string]*section {
	t.Helper()
	text, err := os.ReadFile("../../docs/adopt.md")
	require.NoError(t, err)
	sections, current, open := map[string]*section{}, &section{}, (*block)(nil)
	for line := range strings.Lines(string(text)) {
		switch fence, is := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case is && open != nil:
			current.blocks, open = append(current.blocks, *open), nil
		case is:
			language, tag, _ := strings.Cut(fence, " ")
			open = &block{language: language, tag: tag}
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "## "):
			current = &section{title: strings.TrimSpace(line[3:])}
			sections[strings.Fields(current.title)[0]] = current
		default:
			if said := saysFinds.FindStringSubmatch(strings.TrimSpace(line)); said != nil {
				current.finds = []string{}
				for _, id := range inQuotes.FindAllStringSubmatch(said[1], -1) {
					current.finds = append(current.finds, id[1])
				}
			}
		}
	}
	return sections
}

// statements splits SQL as psql does, but for quotes, which hold no semicolon at the end of a line here.
func statements(sql string) (list []string) {
	var statement strings.Builder
	for line := range strings.Lines(sql) {
		statement.WriteString(line)
		whole := strings.Count(statement.String(), "$$")%2 == 0
		if whole && strings.HasSuffix(strings.TrimSpace(line), ";") {
			list = append(list, statement.String())
			statement.Reset()
		}
	}
	return list
}

const codeLockNotAvailable = "55P03"

// runAgain executes a statement as the guide says: again, if it did not get its lock.
func runAgain(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	for tries := 0; ; tries++ {
		_, err := conn.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol)
		failed, _ := err.(*pgconn.PgError)
		if failed == nil || failed.Code != codeLockNotAvailable || tries == 20 {
			require.NoError(t, err, statement)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
