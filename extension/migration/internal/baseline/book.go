// This file is the book of all baselines: those that are complete, and the one under way.

package baseline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// States of a baseline.
const (
	Collecting = "collecting"
	Complete   = "complete"
	TooSmall   = "too_small" // fewer samples than the minimum: never compared with
	Stopped    = "stopped"   // by an operator, before its time
)

// Now is the name of what was seen in the last hour, in comparisons.
const Now = "now"

const (
	indexKey    = "baselines"
	maxDuration = 31 * 24 * time.Hour
	maxKept     = 100
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Errors that callers tell apart.
var (
	ErrUnknown = errors.New("no such baseline")
	ErrBusy    = errors.New("a baseline is being collected")
	ErrRefused = errors.New("refused")
	errNewer   = errors.New("stored in a newer format")
)

// Store is where the book is kept.
type Store interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(values map[string][]byte) (ticket uint64)
}

// Config of a Book.
type Config struct {
	Interval       time.Duration // between samples
	MinSamples     int
	MinHourSamples int
	Reference      string // name of the baseline to compare with; "" the latest complete one
	Units          map[string]string
	// Done is called when a collection has ended by itself.
	Done func(operator.Baseline)
}

// Book keeps baselines. Safe for concurrent use.
type Book struct {
	cfg   Config
	store Store

	mu         sync.Mutex
	all        map[string]head
	active     *collection // under way; nil where none is
	recent     recent
	histograms map[string]signal.Histogram // as the sampler last counted
}

// Open reads the book and goes on with the collection that was under way.
func Open(ctx context.Context, s Store, cfg Config) (*Book, error) {
	b := &Book{cfg: cfg, store: s, all: map[string]head{}, histograms: map[string]signal.Histogram{}}
	names, err := read[[]string](ctx, s, indexKey)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		head, err := read[head](ctx, s, headKey(name))
		if err != nil {
			return nil, err
		}
		b.all[name] = head
		if head.State == Collecting {
			if b.active, err = resume(ctx, s, head); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// read decodes a key; an absent one is the zero value.
func read[T any](ctx context.Context, s Store, key string) (T, error) {
	var v T
	stored, err := s.Get(ctx, key)
	if err != nil || stored == nil {
		return v, err
	}
	if err := json.Unmarshal(stored, &v); err != nil {
		return v, fmt.Errorf("stored %s is damaged: %w", key, err)
	}
	return v, nil
}

// Begin starts a collection. It refuses what could not become a baseline.
func (b *Book) Begin(name string, wanted time.Duration, author, stage string, at time.Time) (operator.Baseline, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.active != nil:
		return operator.Baseline{}, fmt.Errorf("%w: %s; stop it first, or wait", ErrBusy, b.active.Name)
	case !nameRule.MatchString(name) || name == Now:
		return operator.Baseline{}, fmt.Errorf("%w: name %q: must be letters, digits, '.', '_' and '-', at most 64, and not %q", ErrRefused, name, Now)
	case b.has(name):
		return operator.Baseline{}, fmt.Errorf("%w: there is a baseline %q already: choose another name, or delete it", ErrRefused, name)
	case len(b.all) >= maxKept:
		return operator.Baseline{}, fmt.Errorf("%w: %d baselines are kept: delete one first", ErrRefused, maxKept)
	case wanted > maxDuration:
		return operator.Baseline{}, fmt.Errorf("%w: duration %s: must be at most %s", ErrRefused, wanted, maxDuration)
	}
	if least := time.Duration(b.cfg.MinSamples) * b.cfg.Interval; wanted < least {
		return operator.Baseline{}, fmt.Errorf("%w: duration %s gives fewer than the minimum of %d samples at one every %s: take at least %s",
			ErrRefused, wanted, b.cfg.MinSamples, b.cfg.Interval, least)
	}
	b.active = newCollection(operator.Baseline{
		Name: name, State: Collecting, Started: at.UTC(), Wanted: wanted.Seconds(), Author: author, Stage: stage,
	}, at, b.histograms)
	b.saveActive()
	return b.active.Baseline, nil
}

func (b *Book) has(name string) bool {
	_, ok := b.all[name]
	return ok
}

// Record takes a sample in. step is the observed time since the one before.
func (b *Book) Record(s signal.Sample, step time.Duration) {
	b.mu.Lock()
	b.recent.add(s)
	maps.Copy(b.histograms, s.Histograms)
	done := b.collect(s, step)
	b.mu.Unlock()
	if done != nil && b.cfg.Done != nil {
		b.cfg.Done(*done)
	}
}

func (b *Book) collect(s signal.Sample, step time.Duration) *operator.Baseline {
	if b.active == nil {
		return nil
	}
	b.active.add(s, step)
	if b.active.Duration >= b.active.Wanted {
		done := b.finish(Complete, s.At)
		return &done
	}
	b.saveActive()
	return nil
}

// Stop ends the collection under way before its time.
func (b *Book) Stop(at time.Time) (operator.Baseline, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active == nil {
		return operator.Baseline{}, fmt.Errorf("%w: none is being collected", ErrUnknown)
	}
	return b.finish(Stopped, at), nil
}

// finish makes the collection under way a baseline. b.mu is held.
func (b *Book) finish(state string, at time.Time) operator.Baseline {
	c := b.active
	c.summarize(b.cfg.Units)
	at = at.UTC()
	c.State, c.Finished = state, &at
	if c.Samples < b.cfg.MinSamples {
		c.State = TooSmall
		c.Message = fmt.Sprintf("%d samples, at least %d are needed: it is not compared with", c.Samples, b.cfg.MinSamples)
	}
	b.saveActive()
	b.active = nil
	return c.Baseline
}

// saveActive stores the collection under way. b.mu is held.
func (b *Book) saveActive() {
	h, values := b.active.dirty()
	b.all[h.Name] = h
	values[indexKey] = b.index()
	b.store.Put(values)
}

func (b *Book) index() []byte {
	encoded, err := json.Marshal(slices.Sorted(maps.Keys(b.all)))
	if err != nil {
		panic(err) // strings
	}
	return encoded
}

// Delete forgets a baseline.
func (b *Book) Delete(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	h, ok := b.all[name]
	if !ok {
		return b.unknown(name)
	}
	if b.active != nil && b.active.Name == name {
		return fmt.Errorf("%w: %s; stop it first", ErrBusy, name)
	}
	delete(b.all, name)
	values := map[string][]byte{headKey(name): nil, indexKey: b.index()}
	for n := range h.Chunks {
		values[chunkKey(name, n)] = nil
	}
	b.store.Put(values)
	return nil
}

// List returns all baselines, latest first, without their signals.
func (b *Book) List() []operator.Baseline {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]operator.Baseline, 0, len(b.all))
	for _, h := range b.all {
		h.Signals = nil
		list = append(list, h.Baseline)
	}
	slices.SortFunc(list, func(x, y operator.Baseline) int { return y.Started.Compare(x.Started) })
	return list
}

// Show returns one baseline; of one under way, what it is like so far.
func (b *Book) Show(name string) (operator.Baseline, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one, ok := b.all[name]
	if !ok {
		return operator.Baseline{}, b.unknown(name)
	}
	if b.active != nil && b.active.Name == name {
		sofar := *b.active
		sofar.summarize(b.cfg.Units)
		return sofar.Baseline, nil
	}
	return one.Baseline, nil
}

// Progress of the collection under way; nil where there is none.
func (b *Book) Progress() *operator.BaselineProgress {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.active == nil {
		return nil
	}
	return &operator.BaselineProgress{Name: b.active.Name, Observed: b.active.Duration, Wanted: b.active.Wanted, Samples: b.active.Samples}
}

func (b *Book) unknown(name string) error {
	return fmt.Errorf("%w %q; there are %v", ErrUnknown, name, slices.Sorted(maps.Keys(b.all)))
}

// Reference gives the mean of a signal in the reference baseline, of the same hour of the day where that
// hour has enough samples. false where there is too little to compare with.
func (b *Book) Reference(name string, at time.Time) (float64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ref, ok := b.referenceLocked()
	if !ok {
		return 0, false
	}
	s := ref.Signals[name]
	if hour := s.Hours[at.UTC().Hour()]; hour.Samples >= b.cfg.MinHourSamples {
		return hour.Mean, true
	}
	return s.Overall.Mean, s.Overall.Samples >= b.cfg.MinSamples
}

// ReferenceName is the name of the baseline that is compared with, "" where there is none.
func (b *Book) ReferenceName() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ref, _ := b.referenceLocked()
	return ref.Name
}

func (b *Book) referenceLocked() (ref operator.Baseline, ok bool) {
	for _, h := range b.all {
		if h.State != Complete || b.cfg.Reference != "" && h.Name != b.cfg.Reference {
			continue
		}
		if !ok || h.Started.After(ref.Started) {
			ref, ok = h.Baseline, true
		}
	}
	return ref, ok
}
