// Package proc reads from Linux's /proc what processes have used.
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc, 1/100 s on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// CPU returns the CPU time that a process and all that it has waited for have used. Of a process that was not
// waited for nothing is left once it has ended.
func CPU(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	return s.own + s.reaped, err
}

// TreeCPU is CPU with the processes that live now below pid.
func TreeCPU(pid int) (time.Duration, error) {
	pids, err := Tree(pid)
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, pid := range pids {
		if used, err := CPU(pid); err == nil { // else it has ended, and its parent's figure has it
			total += used
		}
	}
	return total, nil
}

// Tree returns pid and the processes that live below it.
func Tree(pid int) ([]int, error) {
	if _, err := readStat(pid); err != nil {
		return nil, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, dir := range dirs {
		child, _ := strconv.Atoi(filepath.Base(dir))
		if s, err := readStat(child); err == nil {
			children[s.parent] = append(children[s.parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree, nil
}

// Memory returns what processes hold in memory: resident pages, those shared with others by their share (Pss). Of
// processes of other users only root may ask that.
func Memory(pids ...int) (bytes int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		kB, err := field(string(text), "Pss:")
		if err != nil {
			return 0, fmt.Errorf("memory of process %d: %w", pid, err)
		}
		bytes += kB << 10
	}
	return bytes, nil
}

// Peak returns the most memory that a process has held (VmHWM).
func Peak(pid int) (bytes int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	kB, err := field(string(text), "VmHWM:")
	return kB << 10, err
}

// field returns the number behind a name at the beginning of a line.
func field(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return strconv.ParseInt(words[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	parent      int
	own, reaped time.Duration
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The second field is the program's name in parentheses, which may contain anything.
	_, rest, ok := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), ") ")
	words := strings.Fields(rest)
	if !ok || len(words) < 15 {
		return stat{}, fmt.Errorf("process %d: cannot read its state", pid)
	}
	number := func(i int) int { n, _ := strconv.Atoi(words[i]); return n }
	return stat{
		parent: number(1),
		own:    time.Duration(number(11)+number(12)) * tick,
		reaped: time.Duration(number(13)+number(14)) * tick,
	}, nil
}
