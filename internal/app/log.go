package app

import (
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgseal/pgseal/internal/config"
)

// logging is the part of the section log, but for the audit stream and what the
// proxy and the statistics read of it. The format is that of the start.
type logging struct {
	plain
	config config.Log
}

func (l *logging) load(_ *App, f config.File, _ *setup) error {
	l.config = f.Log
	return nil
}

func (l *logging) same(old *setup) bool { return *l == old.logging }

func (l *logging) apply(a *App) { a.output.configure(l.config) }

// output is where the log goes.
type output struct {
	level   zap.AtomicLevel
	sampler sampler
	lines   *logLines
}

// newOutput returns a log of constant messages with typed fields, and what writes
// it to w until its lines are ended. Logging never waits for w.
func newOutput(c config.Log, w io.Writer) (log *zap.Logger, o *output) {
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.SecondsDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if c.Format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeDuration = zapcore.StringDurationEncoder
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	o = &output{level: zap.NewAtomicLevel(), lines: newLogLines(w)}
	o.configure(c)
	log = zap.New(o.sampler.sample(zapcore.NewCore(encoder, o.lines, o.level)))
	go o.lines.run(func(lost int) {
		log.Error("log messages lost, standard error is blocked", zap.Int("lines", lost))
	})
	return log, o
}

func (o *output) configure(c config.Log) {
	o.level.SetLevel(c.ZapLevel())
	o.sampler.on.Store(c.Sampling)
}
