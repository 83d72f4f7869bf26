package machine

import "testing"

func TestTheProcessorIsNamedByItsFirstModelName(t *testing.T) {
	text := "processor\t: 0\nmodel name\t: Example 3000 @ 2:1 GHz\nprocessor\t: 1\nmodel name\t: Other\n"
	if got := cpuModel(text, "amd64"); got != "Example 3000 @ 2:1 GHz" {
		t.Errorf("got %q", got)
	}
	if got := cpuModel("processor : 0\nBogoMIPS : 50\n", "arm64"); got != "arm64" {
		t.Errorf("without a name: %q", got)
	}
}

func TestMemoryIsReadInKiBAndToldInBytes(t *testing.T) {
	if got := totalMemory("MemFree: 1 kB\nMemTotal:       2048 kB\n"); got != 2<<20 {
		t.Errorf("got %d", got)
	}
	for _, text := range []string{"", "MemTotal: x kB\n", "MemTotal: 5\n"} {
		if got := totalMemory(text); got != 0 {
			t.Errorf("%q gave %d", text, got)
		}
	}
}

func TestThisMachineHasCoresAndAName(t *testing.T) {
	if f := Look(); f.Cores < 1 || f.Kernel == "" || f.CPU == "" {
		t.Errorf("%+v", f)
	}
}
