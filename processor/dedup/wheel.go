// This file finds the entries whose window ends, without looking at the others: a hierarchical timing wheel
// (Varghese and Lauck, 1987) of two levels, whose lists run through the entries.

package dedup

import "time"

const (
	tick       = int64(20 * time.Millisecond)
	wheelSize  = 256
	wheelMask  = wheelSize - 1
	wheelShift = 8
	noBucket   = 2 * wheelSize
	farTicks   = wheelSize * wheelSize // what both levels span: 22 minutes
)

type wheel struct {
	slab    *slab
	current int64                 // the tick that has passed
	heads   [2 * wheelSize]uint32 // near ticks, then far ones of 256 ticks each
}

// add puts the entry where its deadline says.
func (w *wheel) add(slot uint32, deadline int64) {
	due := max((deadline+tick-1)/tick, w.current+1)
	var b int64
	switch delta := due - w.current; {
	case delta < wheelSize:
		b = due & wheelMask
	case delta < farTicks-wheelSize:
		b = wheelSize + due>>wheelShift&wheelMask
	default: // as far as can be; it is placed again from there
		b = wheelSize + (w.current>>wheelShift+wheelMask)&wheelMask
	}
	e := w.slab.at(slot)
	e.bucket, e.wheelPrev, e.wheelNext = uint16(b), 0, w.heads[b]
	if e.wheelNext != 0 {
		w.slab.at(e.wheelNext).wheelPrev = slot
	}
	w.heads[b] = slot
}

// remove takes the entry out, if it is in.
func (w *wheel) remove(slot uint32) {
	e := w.slab.at(slot)
	if e.bucket == noBucket {
		return
	}
	if e.wheelPrev != 0 {
		w.slab.at(e.wheelPrev).wheelNext = e.wheelNext
	} else {
		w.heads[e.bucket] = e.wheelNext
	}
	if e.wheelNext != 0 {
		w.slab.at(e.wheelNext).wheelPrev = e.wheelPrev
	}
	e.bucket = noBucket
}

// advance calls visit for each entry that may be due at now. The entry is out of the wheel then; visit adds it
// again or frees it, and touches no other.
func (w *wheel) advance(now int64, visit func(slot uint32)) {
	target := now / tick
	if target-w.current > farTicks { // the clock leapt: look at all of them once
		w.current = target
		for b := range w.heads {
			w.empty(b, visit)
		}
		return
	}
	for w.current < target {
		w.current++
		if w.current&wheelMask == 0 {
			w.empty(int(wheelSize+w.current>>wheelShift&wheelMask), visit)
		}
		w.empty(int(w.current&wheelMask), visit)
	}
}

func (w *wheel) empty(b int, visit func(slot uint32)) {
	slot := w.heads[b]
	w.heads[b] = 0
	for slot != 0 {
		e := w.slab.at(slot)
		next := e.wheelNext
		e.bucket = noBucket
		visit(slot)
		slot = next
	}
}
