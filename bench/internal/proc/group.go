package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Group is a set of processes that are measured as one. Its zero value is
// empty.
type Group struct {
	pid       int
	container bool
}

// Tree is a process with all its descendants.
func Tree(pid int) Group { return Group{pid: pid} }

// Container is every process in the PID namespace of pid, which is the number
// that the host gives to any process of the container.
func Container(pid int) Group { return Group{pid: pid, container: true} }

// Empty reports whether there is nothing to measure.
func (g Group) Empty() bool { return g.pid == 0 }

// Alive reports whether the group's process is there and is not a zombie.
func (g Group) Alive() bool {
	m, err := readStatus(g.pid)
	return err == nil && m.RSS > 0
}

// CPU is the CPU time of all processes of the group. It only grows while the
// group's process lives and waits for its children.
func (g Group) CPU() (CPU, error) {
	var sum CPU
	pids, err := g.pids()
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			if pid != g.pid {
				continue // it ended between two reads, and its parent has its time
			}
			return sum, err
		}
		sum = sum.add(s.cpu)
	}
	return sum, nil
}

// Memory is the resident memory of all processes of the group. Pages that they
// share are counted for each; the peaks need not have been at the same time.
func (g Group) Memory() (Memory, error) {
	var sum Memory
	pids, err := g.pids()
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		m, err := readStatus(pid)
		if err != nil {
			if pid != g.pid {
				continue
			}
			return sum, err
		}
		sum.RSS += m.RSS
		sum.Peak += m.Peak
	}
	return sum, nil
}

// ResetPeak makes the peak start anew from the memory that is resident now. It
// needs the right to trace the processes: the same user, or root.
func (g Group) ResetPeak() error {
	pids, err := g.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := os.WriteFile(path(pid, "clear_refs"), []byte("5"), 0); err != nil && pid == g.pid {
			return fmt.Errorf("peak memory of process %d: %w", pid, err)
		}
	}
	return nil
}

func (g Group) pids() ([]int, error) {
	if g.Empty() {
		return nil, errors.New("no process to measure")
	}
	if g.container {
		return inNamespace(g.pid)
	}
	return descendants(g.pid)
}

// descendants lists pid and every process below it.
func descendants(root int) ([]int, error) {
	all, err := everyPID()
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, pid := range all {
		if s, err := readStat(pid); err == nil {
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	list := []int{root}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list, nil
}

func inNamespace(member int) ([]int, error) {
	want, err := os.Readlink(path(member, "ns/pid"))
	if err != nil {
		return nil, fmt.Errorf("container of process %d: %w", member, err)
	}
	all, err := everyPID()
	if err != nil {
		return nil, err
	}
	var list []int
	for _, pid := range all {
		if ns, err := os.Readlink(path(pid, "ns/pid")); err == nil && ns == want {
			list = append(list, pid)
		}
	}
	return list, nil
}

func everyPID() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			list = append(list, pid)
		}
	}
	return list, nil
}

func path(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return stat{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	s, err := parseStat(string(data))
	if err != nil {
		return stat{}, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return s, nil
}

func readStatus(pid int) (Memory, error) {
	data, err := os.ReadFile(path(pid, "status"))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	m, err := parseStatus(string(data))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return m, nil
}
