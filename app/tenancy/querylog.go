package tenancy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// slowQuery is the duration from which a statement is logged.
const slowQuery = 500 * time.Millisecond

// queryLog logs slow and failed statements, without their values, which are tenants' data. It does not log statements whose
// context was canceled as failed.
type queryLog struct {
	logger.Interface
	all bool // log all statements, as gorm.DB.Debug asks
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
	// GORM's logger formats each statement before it decides whether to log it.
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

// GORM's Scan records its statement with logger.RecorderParamsFilter instead of this logger's. The variable is global, and set
// before a *gorm.DB exists.
func init() { logger.RecorderParamsFilter = withoutValues }
