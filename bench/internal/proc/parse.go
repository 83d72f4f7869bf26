package proc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc/PID/stat: USER_HZ, which is 100 on
// every architecture that Go runs on.
const tick = 10 * time.Millisecond

// CPU is CPU time since the start of a process, of all its threads and of the
// children it has waited for.
type CPU struct {
	User, System time.Duration
}

// Total is user and system time together.
func (c CPU) Total() time.Duration { return c.User + c.System }

// Sub is what was spent since an earlier reading.
func (c CPU) Sub(earlier CPU) CPU {
	return CPU{User: c.User - earlier.User, System: c.System - earlier.System}
}

func (c CPU) add(other CPU) CPU {
	return CPU{User: c.User + other.User, System: c.System + other.System}
}

// stat is what is read of /proc/PID/stat.
type stat struct {
	parent int
	cpu    CPU
}

// parseStat reads one line of /proc/PID/stat. The name of the program stands
// in parentheses and may itself hold blanks and parentheses.
func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, errors.New("no name of a program in it")
	}
	// The first of these is field 3, the state.
	fields := strings.Fields(line[end+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("only %d fields after the name", len(fields))
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("parent: %w", err)
	}
	var ticks [4]time.Duration // utime, stime, cutime, cstime: fields 14 to 17
	for i := range ticks {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("CPU time: %w", err)
		}
		ticks[i] = time.Duration(n) * tick
	}
	return stat{parent: parent, cpu: CPU{User: ticks[0] + ticks[2], System: ticks[1] + ticks[3]}}, nil
}

// Memory is resident memory in KiB: now, and the most there ever was since
// the start or since ResetPeak.
type Memory struct {
	RSS, Peak int64
}

// parseStatus reads VmRSS and VmHWM of /proc/PID/status.
func parseStatus(text string) (Memory, error) {
	var m Memory
	found := 0
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &m.RSS
		case "VmHWM":
			into = &m.Peak
		default:
			continue
		}
		value, unit, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || unit != "kB" {
			return Memory{}, fmt.Errorf("%s is not a number of kB", name)
		}
		*into = n
		found++
	}
	if found != 2 {
		return Memory{}, errors.New("no VmRSS and VmHWM in it")
	}
	return m, nil
}
