package machine

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Facts are what is known of this machine.
type Facts struct {
	Kernel string
	CPU    string
	Cores  int
	Memory uint64 // in bytes
}

// Look reads them from /proc.
func Look() Facts {
	f := Facts{Kernel: "unknown", CPU: runtime.GOARCH, Cores: runtime.NumCPU()}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		f.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		f.CPU = cpuModel(string(text), f.CPU)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		f.Memory = totalMemory(string(text))
	}
	return f
}

// cpuModel finds the model's name in /proc/cpuinfo, which has none on some
// architectures.
func cpuModel(cpuinfo, otherwise string) string {
	for line := range strings.Lines(cpuinfo) {
		name, value, _ := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); strings.TrimSpace(name) == "model name" && value != "" {
			return value
		}
	}
	return otherwise
}

// totalMemory reads the line "MemTotal:  24012345 kB" of /proc/meminfo.
func totalMemory(meminfo string) uint64 {
	for line := range strings.Lines(meminfo) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseUint(fields[1], 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
