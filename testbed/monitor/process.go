// Package monitor reads what a process costs, from the operating system and from its pprof endpoint.
package monitor

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/<pid>/stat: 1/100 s on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// CPU is the time that all threads of the process have used, to 10 ms.
func CPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command in brackets and may hold spaces; times are the 14th and 15th of proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// Memory of a process in bytes. Of what is resident, Own is the process's (heap, stacks, tables beside the heap), the
// rest pages of files that it has mapped: its binary, and bbolt's databases, which the kernel may take back at any time.
type Memory struct{ Resident, Own, Peak int64 }

// MemoryOf reads the resident set now (VmRSS), what of it is anonymous (RssAnon), and its highest (VmHWM).
func MemoryOf(pid int) (Memory, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	defer f.Close()
	var m Memory
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			m.Resident = kib << 10
		case "RssAnon":
			m.Own = kib << 10
		case "VmHWM":
			m.Peak = kib << 10
		}
	}
	if m.Peak == 0 {
		return Memory{}, fmt.Errorf("process %d has ended", pid)
	}
	return m, nil
}

// Descriptors counts the open file descriptors.
func Descriptors(pid int) (int, error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(fds), err
}

var (
	heapAlloc  = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)`)
	goroutines = regexp.MustCompile(`goroutine profile: total (\d+)`)
)

// LiveHeap is what is left on the heap after a forced collection, in bytes.
func LiveHeap(pprof string) (int64, error) {
	// Finalizers and pools keep garbage through one collection, so the second counts.
	if _, err := scrape(pprof, "heap?gc=1&debug=1", heapAlloc); err != nil {
		return 0, err
	}
	return scrape(pprof, "heap?gc=1&debug=1", heapAlloc)
}

// Goroutines are how many run now.
func Goroutines(pprof string) (int64, error) { return scrape(pprof, "goroutine?debug=1", goroutines) }

func scrape(pprof, profile string, value *regexp.Regexp) (int64, error) {
	resp, err := http.Get("http://" + pprof + "/debug/pprof/" + profile)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	m := value.FindSubmatch(body)
	if m == nil {
		return 0, fmt.Errorf("%s says nothing of %s", profile, value)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
