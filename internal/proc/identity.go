// Package proc knows the processes of this host as the kernel tells of them (/proc and pidfds): which
// life of a pid a process is, and when and how it ends. Linux only.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// ErrGone says that a process does not exist (any more).
var ErrGone = errors.New("no such process")

// Identity is one life of a pid: a pid alone may be given to another process once the first is gone.
type Identity struct {
	PID int32 `json:"pid"`
	// Start of the process in clock ticks since boot (proc(5), stat field 22); 0 where it cannot be read.
	Start uint64 `json:"start,omitempty"`
	// Boot is the id of the boot that Start counts from.
	Boot string `json:"boot,omitempty"`
}

// Identify returns the identity of the process that pid is now, ErrGone where there is none.
func Identify(pid int32) (Identity, error) {
	st, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: st.start, Boot: BootID()}, nil
}

// Gone reports whether the process has surely ended: the pid is free, a zombie's, or another life's.
func (i Identity) Gone() bool {
	if i.Boot != BootID() {
		return true
	}
	st, err := readStat(i.PID)
	if err != nil {
		return errors.Is(err, ErrGone)
	}
	return st.start != i.Start || st.state == 'Z' || st.state == 'X'
}

// BootID returns the kernel's random id of this boot, "" where it cannot be read.
var BootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

// KnownInsideAs reports whether the process that is pid here is called inside in its own pid
// namespace (proc(5), status NSpid): a containerised process knows itself by another number.
func KnownInsideAs(pid, inside int32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("NSpid:"))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		return len(fields) > 0 && string(fields[len(fields)-1]) == strconv.Itoa(int(inside))
	}
	return false
}

// SharesNetwork reports whether the process is in this process's network namespace, so that a
// loopback address means the same to both.
func SharesNetwork(pid int32) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	return err == nil && ours == theirs
}

// stat is what this package reads of /proc/<pid>/stat.
type stat struct {
	state    byte
	start    uint64
	exitCode int // as of wait(2); 0 as well where the kernel does not tell
}

func readStat(pid int32) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return stat{}, fmt.Errorf("pid %d: %w", pid, ErrGone)
	case err != nil:
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads fields 3 (state), 22 (starttime) and 52 (exit_code) of proc(5)'s stat. Field 2, the
// command, is in parentheses and may itself hold spaces and parentheses.
func parseStat(b []byte) (stat, error) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return stat{}, errors.New("stat: no command")
	}
	fields := bytes.Fields(b[end+1:]) // fields[0] is field 3, so field n is fields[n-3]
	const state, start, exitCode = 0, 19, 49
	if len(fields) <= start || len(fields[state]) != 1 {
		return stat{}, errors.New("stat: too few fields")
	}
	st := stat{state: fields[state][0]}
	var err error
	if st.start, err = strconv.ParseUint(string(fields[start]), 10, 64); err != nil {
		return stat{}, fmt.Errorf("stat: start time: %w", err)
	}
	if len(fields) > exitCode { // since Linux 3.5
		if st.exitCode, err = strconv.Atoi(string(fields[exitCode])); err != nil {
			return stat{}, fmt.Errorf("stat: exit code: %w", err)
		}
	}
	return st, nil
}
