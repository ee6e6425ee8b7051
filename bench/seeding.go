package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// The databases that are measured. They are made in this order.
const (
	tinyDatabase  = "tenanted_tiny"  // a hundredth of the accounts
	smallDatabase = "tenanted_small" // a tenth of the accounts
	mainDatabase  = "tenanted"       // all of them, and the big tenants
	floorDatabase = "tenanted_floor" // copies of the rows, by the server alone
)

// originalSeed is how many seconds the original took for 2,000 accounts.
const originalSeed = 662

var tables = []string{"accounts", "users", "projects", "tasks", "subtasks"}

// seeding makes the accounts, and compares that with a server-side COPY of the same rows into the same tables, from
// files that the server itself has written.
func (b *bench) seeding(ctx context.Context, d *document, accounts int) error {
	d.section("Seed")
	small, smallPeak, err := b.seed(ctx, smallDatabase, max(1, accounts/10))
	if err != nil {
		return err
	}
	took, peak, err := b.seed(ctx, mainDatabase, accounts)
	if err != nil {
		return err
	}
	rows, err := b.countRows(ctx)
	if err != nil {
		return err
	}
	floor, err := b.copyFloor(ctx)
	if err != nil {
		return err
	}
	d.para("%d accounts, %d rows, through the program (`tenanted seed`, %d processors), against one server-side binary `COPY` of each table's rows "+
		"into tables of the same kind. Target: at most 1.2 × the `COPY`, flat memory.", accounts, rows, processors())
	perSecond := func(took time.Duration) string { return fmt.Sprintf("%.0f", float64(rows)/took.Seconds()) }
	d.table([]string{"", "seconds", "rows/s", "of the floor", "most memory"}, [][]string{
		{fmt.Sprintf("`seed --accounts %d`", accounts), significant(took.Seconds()), perSecond(took), times(took.Seconds(), floor.Seconds()), mb(peak) + " MB"},
		{"floor: server-side `COPY`", significant(floor.Seconds()), perSecond(floor), "1", ""},
		{fmt.Sprintf("`seed --accounts %d`", max(1, accounts/10)), significant(small.Seconds()), "", "", mb(smallPeak) + " MB"},
	})
	d.para("The original took %d s for 2,000 accounts on a machine of this kind (1,748 rows/s).", originalSeed)
	d.target("seed", "at most 1.2 × a server-side `COPY`", times(took.Seconds(), floor.Seconds()), took.Seconds() <= 1.2*floor.Seconds())
	faster := originalSeed / took.Seconds() * float64(accounts) / 2000
	d.target("seed", "40 × the original, recorded elsewhere", fmt.Sprintf("%.0f ×", faster), faster >= 40)
	d.target("memory of the seed", "flat", fmt.Sprintf("%s MB, %s MB for a tenth", mb(peak), mb(smallPeak)), float64(peak) < 1.5*float64(smallPeak))
	return nil
}

func (b *bench) seed(ctx context.Context, database string, accounts int) (time.Duration, int64, error) {
	env := []string{"PGDATABASE=" + database}
	if _, _, err := b.run(ctx, env, "migrate"); err != nil {
		return 0, 0, err
	}
	return b.run(ctx, env, "seed", "--accounts", strconv.Itoa(accounts))
}

// countRows counts the rows in the main database's tables.
func (b *bench) countRows(ctx context.Context) (rows int64, err error) {
	conn, err := pgx.Connect(ctx, b.dsn(mainDatabase))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	for _, table := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "select count(*) from "+table).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// copyFloor writes each table into a file and times how long the server takes to copy them into another database.
func (b *bench) copyFloor(ctx context.Context) (time.Duration, error) {
	file := func(table string) string { return "'" + filepath.Join(b.localDir(), "data", table+".copy") + "'" }
	var write, read []string
	for _, table := range tables {
		write = append(write, fmt.Sprintf("copy (select * from %s order by 1, 2) to %s (format binary)", table, file(table)))
		read = append(read, fmt.Sprintf("copy %s from %s (format binary)", table, file(table)))
	}
	if err := b.sql(ctx, mainDatabase, write...); err != nil {
		return 0, err
	}
	if _, _, err := b.run(ctx, []string{"PGDATABASE=" + floorDatabase}, "migrate"); err != nil {
		return 0, err
	}
	if err := b.sql(ctx, floorDatabase, "checkpoint"); err != nil {
		return 0, err
	}
	began := time.Now()
	err := b.sql(ctx, floorDatabase, read...)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, b.sql(ctx, "postgres", "drop database "+floorDatabase)
}

// bigTenants adds, after the accounts there are, a tenant for each of the numbers of subtasks. It returns their
// numbers. Each has tasks of ten subtasks.
func (b *bench) bigTenants(ctx context.Context, after int, subtasks []int) ([]int, error) {
	var numbers []int
	for _, n := range subtasks {
		tasks := strconv.Itoa(max(1, n/10))
		_, _, err := b.run(ctx, []string{"PGDATABASE=" + mainDatabase}, "seed", "--accounts", strconv.Itoa(after+1),
			"--min-projects", "1", "--max-projects", "1", "--min-tasks", tasks, "--max-tasks", tasks, "--min-subtasks", "10", "--max-subtasks", "10")
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, after)
		after++
	}
	return numbers, nil
}

// settle does what autovacuum does within some minutes.
func (b *bench) settle(ctx context.Context, database string) error {
	return b.sql(ctx, database, "vacuum (analyze)", "checkpoint")
}
