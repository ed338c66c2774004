// This file sees to it that no log is lost for want of an output.

package partialspan

import (
	"errors"
	"sync"
)

// outputs knows which outputs each configured connector has. The collector makes one instance an output
// and tells none of them of the other; what they share is their configuration.
type outputs struct {
	mu   sync.Mutex
	used map[*Config]*wiring
}

// wiring is the outputs of one configured connector.
type wiring struct {
	toTraces, toLogs int // instances that exist
}

var errOneOutput = errors.New("partial_span needs both outputs: list it as a receiver of a traces pipeline (for the spans) and of a logs pipeline (for all other logs)")

// add counts an instance. remove takes it back.
func (o *outputs) add(cfg *Config, count func(*wiring) *int) (remove func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.used[cfg]
	if !ok {
		w = &wiring{}
		o.used[cfg] = w
	}
	*count(w)++
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		*count(w)--
		if *w == (wiring{}) {
			delete(o.used, cfg)
		}
	}
}

// check fails unless there is an output for both.
func (o *outputs) check(cfg *Config) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.used[cfg]; w == nil || w.toTraces == 0 || w.toLogs == 0 {
		return errOneOutput
	}
	return nil
}

func traceInstances(w *wiring) *int { return &w.toTraces }
func logInstances(w *wiring) *int   { return &w.toLogs }
