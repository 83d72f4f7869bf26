package app

import (
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/engine"
)

// loops are the part of workers, which are as many as at the start.
type loops struct {
	plain
	workers int
}

func (l *loops) load(_ *App, f config.File, _ *setup) error {
	l.workers = f.Workers
	return nil
}

func (l *loops) same(old *setup) bool { return *l == old.loops }

func (l *loops) restart(log *zap.Logger) {
	log.Warn("workers cannot be changed without a restart")
}

func (l *loops) start(log *zap.Logger) (engine.Engine, error) { return engine.New(log, l.workers) }
