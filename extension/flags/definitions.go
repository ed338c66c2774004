// This file takes changed definitions in, or keeps the last good ones and says why.

package flags

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// byFiles is the author of what definitions change.
var byFiles = flag.Author{Name: "definitions", Reason: "the definition files changed"}

// definitions is which files hold now.
type definitions struct {
	mu     sync.Mutex
	sum    [32]byte // of the contents that were read last, good or broken
	broken error    // why they do not hold
}

// trouble is why the files do not hold, nil where they do.
func (d *definitions) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

// firstDefinitions reads the files at start. Where they are broken, the last good ones hold if they were
// stored: a file that broke while the agent ran must not keep it from starting again.
func (e *flagsExtension) firstDefinitions(ctx context.Context) (*flagd.Set, error) {
	read, err := readFiles(e.cfg.Files)
	var set *flagd.Set
	if err == nil {
		set, err = read.parse(e.cfg.Files)
	}
	if err == nil {
		e.definitions.sum = read.sum
		e.store.keepFiles(e.cfg.Files, read)
		return set, nil
	}
	err = fmt.Errorf("files: %w", err)
	last, ok := e.store.goodFiles(ctx, e.cfg.Files)
	if !ok {
		return nil, err
	}
	set, lastErr := last.parse(e.cfg.Files)
	if lastErr != nil {
		return nil, err
	}
	e.definitions.sum = read.sum
	e.definitions.broken = err
	e.reportBroken(err)
	return set, nil
}

// reload reads the files and makes them hold, where they changed and are sound.
func (e *flagsExtension) reload() {
	d := &e.definitions
	d.mu.Lock()
	defer d.mu.Unlock()
	read, err := readFiles(e.cfg.Files)
	if err == nil {
		if read.sum == d.sum {
			return
		}
		err = e.take(read)
	}
	d.sum = read.sum // of nothing, where they could not be read
	e.countReload(err)
	if err == nil {
		if d.broken != nil {
			e.status(componentstatus.NewEvent(componentstatus.StatusOK))
		}
		d.broken = nil
		return
	}
	if d.broken == nil || d.broken.Error() != err.Error() {
		e.reportBroken(err)
	}
	d.broken = err
}

func (e *flagsExtension) reportBroken(err error) {
	e.logger.Error("Flag definitions are broken: the last good ones hold", zap.Error(err))
	e.status(componentstatus.NewRecoverableErrorEvent(fmt.Errorf("flag definitions are broken, the last good ones hold: %w", err)))
}

// take makes what was read hold, unless it would leave a component's handle without its flag.
func (e *flagsExtension) take(read contents) error {
	set, err := read.parse(e.cfg.Files)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state.Load()
	for _, name := range e.bound {
		if f, ok := set.Flag(name); !ok || f.Type != flagd.Boolean {
			return fmt.Errorf("flag %q is bound by a component and must stay a boolean flag", name)
		}
	}
	n := s.next(set, s.overrides, e.host, e.bound, now())
	e.install(s, n, causeDefinitions, byFiles)
	e.warn(n)
	e.store.keepFiles(e.cfg.Files, read)
	e.logger.Info("Flag definitions loaded", zap.Strings("files", e.cfg.Files), zap.Int("flags", len(set.Flags)))
	return nil
}

// warn tells what is loaded and yet not as its author meant it.
func (e *flagsExtension) warn(s *state) {
	for _, f := range s.definitions.Flags {
		if err := f.RuleError(); err != nil {
			e.logger.Warn("Targeting can not be evaluated: the flag answers PARSE_ERROR", zap.String("flag", f.Key), zap.Error(err))
		}
		if off := unmet(s, f); len(off) > 0 {
			e.logger.Warn("A flag is on while a flag that it depends on is off", zap.String("flag", f.Key), zap.Strings("off", off))
		}
		if o, ok := s.overrides[f.Key]; ok {
			if _, fits := o.resolve(f, e.cfg.HostKey); !fits {
				e.logger.Warn("An override does not fit the definition any more and is ignored", zap.String("flag", f.Key), zap.String("kind", o.Kind))
			}
		}
	}
}

// watchTime lets rules that read the time take effect in handles.
func (e *flagsExtension) watchTime(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			e.reevaluate()
		}
	}
}

func (e *flagsExtension) reevaluate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state.Load()
	if !slices.ContainsFunc(s.definitions.Flags, (*flagd.Flag).UsesTime) {
		return
	}
	n := s.next(s.definitions, s.overrides, e.host, e.bound, now())
	for name := range n.resolved {
		if n.resolved[name].Variant != s.resolved[name].Variant {
			e.install(s, n, causeTime, flag.Author{Name: "time", Reason: "targeting reads $flagd.timestamp"})
			return
		}
	}
}
