package main

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// tellStatistics writes a line with figures to the log every log.stats_period
// while there are clients, until ctx ends.
func (r *instance) tellStatistics(ctx context.Context) {
	for {
		period := r.statsPeriod()
		wait := period
		if wait == 0 {
			wait = time.Minute // a reload may switch it on
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if period > 0 && r.proxy.Clients() > 0 {
			r.log.Info("statistics", r.statistics()...)
		}
	}
}

func (r *instance) statsPeriod() time.Duration {
	return r.file().Log.StatsPeriod
}

// statistics returns how many of everything there are now, and how often
// clients have been pinned since the start, by reason.
func (r *instance) statistics() []zap.Field {
	statements, bytes := r.proxy.Statements()
	failed, audit := r.proxy.FailedLogins(), r.auditStats()
	return []zap.Field{
		zap.Int("clients", r.proxy.Clients()),
		zap.Uint64("logins_turned_away", r.proxy.LoginsByAddress().TurnedAway),
		zap.Int("pinned", len(r.proxy.Pins())),
		zap.Any("pins", r.proxy.PinCounts()),
		zap.Int("prepared_statements", statements),
		zap.Int64("prepared_bytes", bytes),
		zap.Any("failed_logins", failed.Reasons),
		zap.Uint64("source_capped", failed.SourceCapped),
		zap.Uint64("role_capped", failed.RoleCapped),
		zap.Uint64("audit_errors", audit.Errors),
		zap.Uint64("audit_lost", audit.Lost),
		zap.Uint64("log_left_out", r.sampler.leftOut()),
	}
}

// auditStats returns what went wrong with audit files since the start.
func (r *instance) auditStats() (sum auditStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, audit := range r.audits {
		s := audit.stats()
		sum.Errors, sum.Lost = sum.Errors+s.Errors, sum.Lost+s.Lost
	}
	return sum
}
