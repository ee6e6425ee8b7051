package tenancy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// slowQuery is from when on a statement is worth a line in the log.
const slowQuery = 500 * time.Millisecond

// queryLog logs slow and failed statements, without their values, which are the tenants' data. A statement that ended
// because nobody waits for it any more did not fail.
type queryLog struct {
	logger.Interface
	all bool // statements that are neither slow nor failed too, as gorm.DB.Debug asks
}

var _ gorm.ParamsFilter = queryLog{}

func newQueryLog(log *slog.Logger) logger.Interface {
	return queryLog{Interface: logger.NewSlogLogger(log, logger.Config{
		SlowThreshold:             slowQuery,
		LogLevel:                  logger.Warn,
		IgnoreRecordNotFoundError: true,
	})}
}

// Trace implements logger.Interface.
func (l queryLog) Trace(ctx context.Context, begin time.Time, statement func() (sql string, rows int64), err error) {
	// GORM's would write out each statement, and then see that there is nothing to log.
	quiet := !l.all && err == nil && time.Since(begin) < slowQuery
	if !quiet && !errors.Is(ctx.Err(), context.Canceled) {
		l.Interface.Trace(ctx, begin, statement, err)
	}
}

// LogMode implements logger.Interface.
func (l queryLog) LogMode(level logger.LogLevel) logger.Interface {
	return queryLog{l.Interface.LogMode(level), level >= logger.Info}
}

// ParamsFilter implements gorm.ParamsFilter.
func (queryLog) ParamsFilter(ctx context.Context, sql string, _ ...any) (string, []any) {
	return withoutValues(ctx, sql)
}

func withoutValues(_ context.Context, sql string, _ ...any) (string, []any) { return sql, nil }

// Scan has GORM record its statement by a logger of its own, and asks this variable instead of ours. It is set before
// anybody can have a *gorm.DB, for one log cannot be without values and another with them.
func init() { logger.RecorderParamsFilter = withoutValues }
