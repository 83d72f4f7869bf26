package app

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pgseal/pgseal/internal/config"
)

func samplerOn() *sampler {
	s := &sampler{}
	s.on.Store(true)
	return s
}

func TestOfAStormOfOneMessageAFewLinesAreWrittenAndTheRestIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		s := samplerOn()
		log := zap.New(s.sample(core)).With(zap.Int("x", 1))
		wrote := func(message string) int { return logs.FilterMessage(message).Len() }
		for range 1000 {
			log.Warn("login refused")
		}
		log.Warn("weak setting")
		if n := wrote("login refused"); n != 109 || wrote("weak setting") != 1 {
			t.Errorf("%d and %d lines are written, want 109 and 1", n, wrote("weak setting"))
		}
		if n := s.suppressed(); n != 891 {
			t.Errorf("%d lines are counted, want 891", n)
		}
		time.Sleep(time.Second) // of the bubble
		log.Warn("login refused")
		if n := wrote("login refused"); n != 110 {
			t.Errorf("in the next second there are %d lines, want 110", n)
		}
		s.on.Store(false)
		for range 1000 {
			log.Warn("login refused")
		}
		if n := wrote("login refused"); n != 1110 {
			t.Errorf("without sampling there are %d lines, want 1110", n)
		}
	})
}

func TestNoErrorIsLeftOutOfTheLogAndNoLineThatIsNotWrittenCounts(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := samplerOn()
	log := zap.New(s.sample(core))
	for range 500 {
		log.Error("server connection could not be opened")
		log.Debug("client left before its startup packet")
	}
	if n := logs.Len(); n != 500 {
		t.Errorf("%d lines are written, want 500", n)
	}
	if n := s.suppressed(); n != 0 {
		t.Errorf("%d lines count as left out", n)
	}
}

func TestWhatWasLeftOutOfTheLogIsToldByMessageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		s := samplerOn()
		log := zap.New(s.sample(core))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx, log); close(done) }()
		storm := func(message string) {
			for range 150 {
				log.Info(message)
			}
		}
		storm("one")
		storm("two")
		told := func() (list []map[string]any) {
			for _, line := range logs.FilterMessage("log messages suppressed").TakeAll() {
				list = append(list, line.ContextMap())
			}
			return list
		}
		if list := told(); len(list) != 0 {
			t.Errorf("told at once: %v", list)
		}
		time.Sleep(3 * reportPeriod) // of the bubble
		synctest.Wait()
		list := told()
		if len(list) != 2 || list[0]["message"] != "one" || list[0]["lines"] != uint64(50) || list[1]["message"] != "two" {
			t.Errorf("told is %v", list)
		}
		logs.TakeAll()
		storm("three")
		stop()
		<-done
		if n := logs.FilterMessage("log messages suppressed").Len(); n != 1 {
			t.Errorf("at the end %d lines tell, want 1", n)
		}
	})
}

func TestTheAuditStreamIsNotSampledWhereItGoesToTheLog(t *testing.T) {
	var out bytes.Buffer
	log, output := newOutput(config.Log{Format: "json", Level: "info", Sampling: true}, &out)
	a := &audit{}
	if err := a.open("", log); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		a.log.Info("login")
		a.log.With(zap.Int("client", 1)).Info("refusal")
	}
	output.lines.end()
	if logins, refusals := strings.Count(out.String(), `"login"`), strings.Count(out.String(), `"refusal"`); logins != 500 || refusals != 500 {
		t.Errorf("%d and %d events are in the log, want 500 of each", logins, refusals)
	}
	if n := output.sampler.suppressed(); n != 0 {
		t.Errorf("%d lines count as left out", n)
	}
}
