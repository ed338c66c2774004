// This file is the order of stages, and what each asks of the flags.

package migration

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// noStage is the id of before the first stage.
const noStage = "none"

// stages are the configured stages in order. A position counts the stages that are on: 0 is none.
type stages []StageConfig

// position of the stage that text names, by id or name; 0 for "none".
func (s stages) position(text string) (int, error) {
	if text == noStage || text == "0" {
		return 0, nil
	}
	for i, stage := range s {
		if stage.ID == text || stage.Name == text {
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("no stage %q: there are %s", text, s.names())
}

// id of the last stage that is on at a position.
func (s stages) id(position int) string {
	if position == 0 {
		return noStage
	}
	return s[position-1].ID
}

func (s stages) names() string {
	names := append(make([]string, 0, 1+len(s)), noStage)
	for _, stage := range s {
		names = append(names, stage.ID)
	}
	return strings.Join(names, ", ")
}

// flags of the stages after position from up to position to, in order.
func (s stages) flags(from, to int) []string {
	var names []string
	for _, stage := range s[from:to] {
		names = append(names, stage.Flags...)
	}
	return names
}

// set is a change of flags to one value.
func set(names []string, value bool) map[string]bool {
	changes := make(map[string]bool, len(names))
	for _, name := range names {
		changes[name] = value
	}
	return changes
}

// drift lists the flags that are not as a position wants them, sorted.
func (s stages) drift(position int, now map[string]bool) []string {
	var drifted []string
	for i, stage := range s {
		for _, name := range stage.Flags {
			if now[name] != (i < position) {
				drifted = append(drifted, name)
			}
		}
	}
	slices.Sort(drifted)
	return drifted
}

// allOff reports whether no flag of any stage is on.
func (s stages) allOff(now map[string]bool) bool {
	for _, name := range s.flags(0, len(s)) {
		if now[name] {
			return false
		}
	}
	return true
}

// soak that a position must have been observed for before the next: its own, or what the next asks for.
func (s stages) soak(position int) time.Duration {
	var required time.Duration
	if position > 0 {
		required = s[position-1].Soak
	}
	if position < len(s) {
		required = max(required, s[position].PreviousSoak)
	}
	return required
}

// guards are the criteria whose breach acts at a position.
func (s stages) guards(position int) map[string]bool {
	names := map[string]bool{}
	for _, stage := range s[:position] {
		for _, name := range stage.Guard {
			names[name] = true
		}
	}
	return names
}

// exits are the criteria that must hold before the stage after a position.
func (s stages) exits(position int) []string {
	if position == 0 {
		return nil
	}
	return s[position-1].Exit
}
