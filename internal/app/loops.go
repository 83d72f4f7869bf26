package app

import (
	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/engine"
)

// loops are the part of engine and workers, which are what they were at the
// start.
type loops struct {
	plain
	engine  string
	workers int
}

func (l *loops) load(_ *App, f config.File, _ *setup) error {
	l.engine, l.workers = f.Engine, f.Workers
	return nil
}

func (l *loops) same(old *setup) bool { return *l == old.loops }

func (l *loops) restart(log *zap.Logger) {
	log.Warn("engine and workers take effect at the next start")
}

func (l *loops) start(log *zap.Logger) (engine.Engine, error) {
	if l.engine == config.PortableEngine {
		return engine.NewPortable(log), nil
	}
	return engine.New(log, l.workers)
}
