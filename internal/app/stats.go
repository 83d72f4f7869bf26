package app

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// tellStatistics writes a line with figures to the log every log.stats_period
// while there are clients, until ctx ends.
func (a *App) tellStatistics(ctx context.Context) {
	for {
		period := a.inForce().file.Log.StatsPeriod
		wait := period
		if wait == 0 {
			wait = time.Minute // a reload may switch it on
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if period > 0 && a.proxy.Clients() > 0 {
			a.log.Info("statistics", a.statistics()...)
		}
	}
}

// statistics returns how many of everything there are now, and how often
// clients have been pinned since the start, by reason.
func (a *App) statistics() []zap.Field {
	statements, bytes := a.proxy.Statements()
	failed, audit := a.proxy.FailedLogins(), a.inForce().audit.stats()
	return []zap.Field{
		zap.Int("clients", a.proxy.Clients()),
		zap.Uint64("logins_turned_away", a.proxy.LoginsByAddress().TurnedAway),
		zap.Int("pinned", len(a.proxy.Pins())),
		zap.Any("pins", a.proxy.PinCounts()),
		zap.Int("prepared_statements", statements),
		zap.Int64("prepared_bytes", bytes),
		zap.Any("failed_logins", failed.Reasons),
		zap.Uint64("source_capped", failed.SourceCapped),
		zap.Uint64("role_capped", failed.RoleCapped),
		zap.Uint64("audit_errors", audit.Errors),
		zap.Uint64("audit_lost", audit.Lost),
		zap.Uint64("log_suppressed", a.output.sampler.suppressed()),
	}
}
