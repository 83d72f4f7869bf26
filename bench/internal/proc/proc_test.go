package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestCPUTimeIsReadBehindANameWithBlanksAndParentheses(t *testing.T) {
	line := "1234 (odd) name (x)) S 77 1234 1234 0 -1 4194560 100 200 0 0 250 150 30 20 20 0 4 0 9000 1000 200"
	got, err := parseStat(line)
	want := stat{parent: 77, cpu: CPU{User: 2800 * time.Millisecond, System: 1700 * time.Millisecond}}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.cpu.Total() != 4500*time.Millisecond {
		t.Errorf("total is %v", got.cpu.Total())
	}
}

func TestALineThatIsNoStatIsAnError(t *testing.T) {
	for _, line := range []string{"", "12 name S 1", "12 (x) S", "12 (x) S a 1 1 0 -1 0 1 2 0 0 1 1 1 1 20", "12 (x) S 1 1 1 0 -1 0 1 2 0 0 1 x 1 1 20"} {
		if got, err := parseStat(line); err == nil {
			t.Errorf("%q gave %+v", line, got)
		}
	}
}

func TestResidentMemoryAndItsPeakAreReadInKiB(t *testing.T) {
	got, err := parseStatus("Name:\tpgseal\nVmPeak:\t  999999 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t9\n")
	if want := (Memory{RSS: 10240, Peak: 20480}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "VmRSS:\t5 kB\n", "VmRSS:\t5 kB\nVmHWM:\t5 MB\n", "VmRSS:\tfive kB\nVmHWM:\t5 kB\n"} {
		if got, err := parseStatus(text); err == nil {
			t.Errorf("%q gave %+v", text, got)
		}
	}
}

func FuzzWhatTheKernelWritesNeverPanics(f *testing.F) {
	f.Add("1 (a) S 1 1 1 0 -1 0 1 2 0 0 1 1 1 1 20")
	f.Add("VmRSS:\t5 kB\nVmHWM:\t5 kB\n")
	f.Add(")")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseStat(text); err == nil && s.cpu.Total() != s.cpu.User+s.cpu.System {
			t.Error("total is not the sum")
		}
		parseStatus(text)
	})
}

// spin burns CPU until this process has used that much more.
func spin(d time.Duration) {
	for begin := Own(); Own().Sub(begin).Total() < d; {
	}
}

func TestWhatAProcessSpendsShowsInItsOwnAndItsTreesTime(t *testing.T) {
	for name, g := range map[string]Group{"tree": Tree(os.Getpid()), "container": Container(os.Getpid())} {
		before, err := g.CPU()
		if err != nil {
			t.Fatal(name, err)
		}
		spin(100 * time.Millisecond)
		after, err := g.CPU()
		if err != nil {
			t.Fatal(name, err)
		}
		if got := after.Sub(before).Total(); got < 80*time.Millisecond {
			t.Errorf("%s: %v after spinning for 100ms", name, got)
		}
	}
}

func TestAChildBelongsToItsParentsTree(t *testing.T) {
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	pids, err := descendants(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pid := range pids {
		found = found || pid == child.Process.Pid
	}
	if !found || pids[0] != os.Getpid() {
		t.Errorf("%v holds no %d below %d", pids, child.Process.Pid, os.Getpid())
	}
	alone, err := Tree(child.Process.Pid).Memory()
	if err != nil || alone.RSS <= 0 || alone.Peak < alone.RSS {
		t.Errorf("memory of the child is %+v, %v", alone, err)
	}
}

func TestThePeakOfMemoryStartsAnewAfterAReset(t *testing.T) {
	g := Tree(os.Getpid())
	if err := g.ResetPeak(); err != nil {
		t.Fatal(err)
	}
	low, err := g.Memory()
	if err != nil {
		t.Fatal(err)
	}
	const large = 64 << 20
	block := make([]byte, large)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	high, err := g.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if grown := high.Peak - low.Peak; grown < large>>10/2 {
		t.Errorf("peak grew by %d KiB after %d were touched (%d)", grown, large>>10, block[0])
	}
}

func TestAProcessThatIsNotThereIsAnError(t *testing.T) {
	const nobody = 1 << 30
	for name, g := range map[string]Group{"tree": Tree(nobody), "container": Container(nobody), "nothing": {}} {
		if _, err := g.CPU(); err == nil {
			t.Errorf("%s: CPU without an error", name)
		}
		if _, err := g.Memory(); err == nil {
			t.Errorf("%s: memory without an error", name)
		}
		if err := g.ResetPeak(); err == nil {
			t.Errorf("%s: reset without an error", name)
		}
		if g.Alive() {
			t.Errorf("%s is alive", name)
		}
	}
	if !Tree(os.Getpid()).Alive() {
		t.Error("this process is not alive")
	}
}

func TestTheFileLimitIsNeverLowered(t *testing.T) {
	first := RaiseFileLimit(64)
	if second := RaiseFileLimit(64); first == 0 || second < first {
		t.Errorf("limits %d, then %d", first, second)
	}
}
