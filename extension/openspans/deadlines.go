// This file is the deadlines: of open spans, of ends that wait for their start, and of what is remembered.

package openspans

import "time"

// schedule sets the deadline of an entry. A later one than is set costs nothing: the wheel looks at the
// entry at the old one, and sets it anew.
func (t *table) schedule(e *entry) {
	due := t.deadlineOf(e)
	if due == 0 {
		t.wheel.clear(e)
		return
	}
	sooner := e.slot == nil || due < e.deadline
	e.deadline = due
	if sooner {
		t.wheel.set(e)
	}
}

// deadlineOf is when an entry is to be ended if nothing comes, in unix ns; 0 for never.
func (t *table) deadlineOf(e *entry) int64 {
	if e.state == waiting {
		return e.opened + int64(t.cfg.EndWait)
	}
	if !e.managed {
		return 0
	}
	return t.managedDeadline(e)
}

// managedDeadline is when an open span is to be ended by force, in unix ns; 0 for never.
func (t *table) managedDeadline(e *entry) (due int64) {
	if t.cfg.Timeout > 0 {
		due = e.opened + int64(t.cfg.Timeout)
	}
	if e.heartbeat > 0 {
		if lost := e.heard + int64(e.heartbeat); due == 0 || lost < due {
			due = lost
		}
	}
	return due
}

// tick applies the deadlines that have passed.
func (t *table) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(t.clock.now())
}

// childGrace is how long an overdue parent waits for overdue children, whose deadlines may be a little later.
const childGrace = time.Second

// expire ends the entries whose deadlines have passed, children before parents, and forgets old ends.
func (t *table) expire(now int64) {
	due := t.wheel.advance(now)
	if len(due) > 1 {
		parentsLast(due)
	}
	for _, e := range due {
		if e.children > 0 && now-e.deadline < int64(childGrace) {
			t.wheel.set(e)
			continue
		}
		t.overdue(e)
	}
	t.ended.expire(now, t.forgetEnded)
}

// overdue ends an entry whose deadline has passed.
func (t *table) overdue(e *entry) {
	r := heartbeatLost
	if t.cfg.Timeout > 0 && e.deadline == e.opened+int64(t.cfg.Timeout) {
		r = timedOut
	}
	t.force(e, r, e.deadline)
}
