// This file is the timing wheel of the deadlines: hierarchical, after Varghese and Lauck, "Hashed and
// Hierarchical Timing Wheels" (SOSP 1987). Setting, clearing and firing cost O(1) amortised.

package openspans

import "time"

const (
	wheelTick  = 50 * time.Millisecond // how late a deadline may be noticed
	wheelBits  = 6
	wheelSlots = 1 << wheelBits
	wheelDepth = 5 // 64^5 ticks of 50 ms: 1.7 years
)

// wheel holds entries by deadline. Its owner guards it.
type wheel struct {
	now   int64 // ticks passed
	slots [wheelDepth][wheelSlots]list
}

func newWheel(now int64) *wheel {
	w := &wheel{now: ticks(now)}
	for level := range w.slots {
		for i := range w.slots[level] {
			w.slots[level][i].kind = inWheel
		}
	}
	return w
}

// ticks turns nanoseconds into whole ticks.
func ticks(ns int64) int64 { return ns / int64(wheelTick) }

// set puts e into the slot of its deadline. An entry whose deadline has passed fires at the next tick.
func (w *wheel) set(e *entry) {
	w.clear(e)
	due := max(ticks(e.deadline)+1, w.now+1)
	level, away := 0, due-w.now
	for level < wheelDepth-1 && away >= wheelSlots {
		away >>= wheelBits
		level++
	}
	if away >= wheelSlots { // beyond the horizon: as far as there is; it is set again when it comes up
		due = w.now + (wheelSlots-1)<<(wheelBits*(wheelDepth-1))
	}
	e.slot = &w.slots[level][(due>>(wheelBits*level))&(wheelSlots-1)]
	e.slot.push(e)
}

// clear takes e out.
func (w *wheel) clear(e *entry) {
	if e.slot != nil {
		e.slot.remove(e)
		e.slot = nil
	}
}

// advance moves the wheel to now, in nanoseconds, and returns the entries whose deadline has passed. They
// are in the wheel no longer.
func (w *wheel) advance(now int64) (due []*entry) {
	for target := ticks(now); w.now < target; {
		w.now++
		w.cascade()
		slot := &w.slots[0][w.now&(wheelSlots-1)]
		for slot.head != nil {
			e := slot.head
			w.clear(e)
			if ticks(e.deadline) < w.now {
				due = append(due, e)
			} else {
				w.set(e) // its deadline was put off since it was set
			}
		}
	}
	return due
}

// cascade spreads the slots of coarser levels that begin at this tick over the finer ones.
func (w *wheel) cascade() {
	for level := 1; level < wheelDepth && w.now&(1<<(wheelBits*level)-1) == 0; level++ {
		slot := &w.slots[level][(w.now>>(wheelBits*level))&(wheelSlots-1)]
		for n := slot.len; n > 0; n-- {
			w.set(slot.head)
		}
	}
}
