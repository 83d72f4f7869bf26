package scenario

import (
	"fmt"
	"math/rand/v2"

	"github.com/pgseal/pgseal/bench/internal/client"
	"github.com/pgseal/pgseal/bench/internal/proc"
	"github.com/pgseal/pgseal/bench/internal/targets"
)

// meter reads what a target and the load generator spend on one sample.
type meter struct {
	env   *Env
	group proc.Group
	began proc.CPU
	own   proc.CPU
	peak  bool // the peak of memory starts with this sample
	ticks []proc.CPU
	err   error
}

// begin starts a sample.
func (e *Env) begin(t *targets.Target) *meter {
	m := &meter{env: e, group: t.Group(), own: proc.Own()}
	if !m.group.Empty() {
		m.peak = m.group.ResetPeak() == nil // without the right to, there is no such figure
	}
	m.began = m.read()
	return m
}

func (m *meter) read() (now proc.CPU) {
	if !m.group.Empty() && m.err == nil {
		now, m.err = m.group.CPU()
	}
	return now
}

// tick notes the target's CPU time, in case the count is to start here.
func (m *meter) tick(int) { m.ticks = append(m.ticks, m.read()) }

// startAt makes the target's CPU time count from one of the ticks.
func (m *meter) startAt(tick int) {
	if tick < len(m.ticks) {
		m.began = m.ticks[tick]
	}
}

// spent is what the target used since the count started.
func (m *meter) spent() (proc.CPU, bool, error) {
	if m.group.Empty() || m.err != nil {
		return proc.CPU{}, false, m.err
	}
	now, err := m.group.CPU()
	if err != nil {
		return proc.CPU{}, false, err
	}
	return now.Sub(m.began), true, nil
}

// end ends a sample of so many transactions since the count started, and all,
// and writes what they cost into metrics.
func (m *meter) end(into Metrics, transactions, all int64) error {
	cpu, has, err := m.spent()
	if err != nil {
		return err
	}
	if has && transactions > 0 {
		into["cpu_us_per_tx"] = perUnit(cpu.Total().Seconds(), transactions)
		into["user_us_per_tx"] = perUnit(cpu.User.Seconds(), transactions)
		into["system_us_per_tx"] = perUnit(cpu.System.Seconds(), transactions)
	}
	own := m.finish()
	if all > 0 {
		into["load_cpu_us_per_tx"] = perUnit(own, all)
	}
	return m.memory(into)
}

// finish adds the load generator's share to the total and returns it in
// seconds.
func (m *meter) finish() float64 {
	own := proc.Own().Sub(m.own).Total()
	m.env.LoadCPU += own
	return own.Seconds()
}

func (m *meter) memory(into Metrics) error {
	if !m.peak {
		return nil
	}
	memory, err := m.group.Memory()
	if err != nil {
		return err
	}
	into["peak_rss_kib"] = float64(memory.Peak)
	return nil
}

// perUnit is microseconds for each of n.
func perUnit(seconds float64, n int64) float64 { return seconds * 1e6 / float64(n) }

func selectOne(c *client.Conn, _ *rand.Rand) error {
	_, err := c.Query("SELECT 1")
	return err
}

// failed tells how many of how many failed, and how the first did.
func failed(failures int64, of string, err error) error {
	if failures == 0 {
		return nil
	}
	return fmt.Errorf("%d %s failed, the first with: %w", failures, of, err)
}

// tooMany says why a target can't have so many clients.
func tooMany(t *targets.Target, clients int) string {
	if t.MaxClients == 0 || clients <= t.MaxClients {
		return ""
	}
	return fmt.Sprintf("each of its clients is a connection of PostgreSQL, and max_connections leaves %d", t.MaxClients)
}
