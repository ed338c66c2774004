// This file measures how long the users of a table wait for its backup.

package operator

import (
	"runtime"
	"sync"
	"time"
)

// Pauses does the parts of a backup that need a table's lock, and keeps how long the longest of them held it.
// The zero value is ready. Not safe for concurrent use.
type Pauses struct{ longest time.Duration }

// Hold runs part while lock is held. It begins with a new time slice, which a short part does not use up: the
// scheduler takes the processor away from who has had it for 10 ms, and others would then wait with the lock held.
func (p *Pauses) Hold(lock sync.Locker, part func()) {
	runtime.Gosched()
	lock.Lock()
	defer lock.Unlock()
	began := time.Now()
	part()
	p.longest = max(p.longest, time.Since(began))
}

// Longest is the longest hold so far.
func (p *Pauses) Longest() time.Duration { return p.longest }
