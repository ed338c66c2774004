// This file samples all signals at once: each source is read once a sample, side by side, none longer
// than the timeout, so that one that hangs delays nothing but its own signals.

package signal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/guard"
	"github.com/foundation-agent/foundation-agent/internal/exposition"
)

// Sample is what all signals were at one moment.
type Sample struct {
	At     time.Time
	Values map[string]guard.Value // by signal
	// Errors by source that could not be read.
	Errors map[string]error
	// Histograms by signal: all that was observed since the sampler's first scrape.
	Histograms map[string]Histogram
	// Versions are the service.version of what answered, sorted, each once.
	Versions []string
}

// Reader reads a source that gives all its metrics at once. Safe for concurrent use.
type Reader interface {
	Scrape(ctx context.Context) (exposition.Families, error)
}

// Config of a Sampler.
type Config struct {
	Specs    []Spec
	Readers  map[string]Reader   // by source
	Queriers map[string]*Querier // by source
	// Timeout of one source in one sample.
	Timeout time.Duration
}

// Sampler follows signals. Sample is called by one goroutine at a time.
type Sampler struct {
	cfg    Config
	series map[string]*series
	window map[string]*window
}

// NewSampler returns a sampler that has seen nothing.
func NewSampler(cfg Config) *Sampler {
	s := &Sampler{cfg: cfg, series: map[string]*series{}, window: map[string]*window{}}
	for _, spec := range cfg.Specs {
		s.series[spec.Name] = &series{}
		s.window[spec.Name] = &window{length: spec.Window}
	}
	return s
}

// Restart lets every window begin anew at the last sample: what follows a change of stage is not
// judged by what came before it.
func (s *Sampler) Restart() {
	for _, w := range s.window {
		w.restart()
	}
}

// answers are what the sources said.
type answers struct {
	mu       sync.Mutex
	families map[string]exposition.Families
	queries  map[string]guard.Value
	errors   map[string]error
}

// Sample reads every source and returns every signal. now is by a clock that only goes forward.
func (s *Sampler) Sample(ctx context.Context, now time.Time) Sample {
	got := s.ask(ctx)
	sample := Sample{
		At: now, Errors: got.errors,
		Values: make(map[string]guard.Value, len(s.cfg.Specs)), Histograms: map[string]Histogram{},
	}
	for _, spec := range s.cfg.Specs {
		if spec.Stat != Ratio {
			sample.Values[spec.Name] = s.value(now, spec, got, sample.Histograms)
		}
	}
	for _, spec := range s.cfg.Specs {
		if spec.Stat == Ratio {
			sample.Values[spec.Name] = ratio(sample.Values[spec.Dividend], sample.Values[spec.Divisor])
		}
	}
	for _, families := range got.families {
		sample.Versions = append(sample.Versions, families.Versions()...)
	}
	slices.Sort(sample.Versions)
	sample.Versions = slices.Compact(sample.Versions)
	return sample
}

func (s *Sampler) ask(ctx context.Context) *answers {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	got := &answers{families: map[string]exposition.Families{}, queries: map[string]guard.Value{}, errors: map[string]error{}}
	var wg sync.WaitGroup
	for name, reader := range s.cfg.Readers {
		wg.Go(func() {
			families, err := reader.Scrape(ctx)
			got.mu.Lock()
			defer got.mu.Unlock()
			if err != nil {
				got.errors[name] = err
				return
			}
			got.families[name] = families
		})
	}
	for _, spec := range s.cfg.Specs {
		querier, ok := s.cfg.Queriers[spec.Source]
		if !ok {
			continue
		}
		wg.Go(func() {
			value, err := querier.Query(ctx, spec.Query)
			got.mu.Lock()
			defer got.mu.Unlock()
			if err != nil {
				got.errors[spec.Source] = err
				return
			}
			got.queries[spec.Name] = value
		})
	}
	wg.Wait()
	return got
}

func (s *Sampler) value(now time.Time, spec Spec, got *answers, histograms map[string]Histogram) guard.Value {
	if value, ok := got.queries[spec.Name]; ok {
		return value
	}
	if err := got.errors[spec.Source]; err != nil {
		return guard.Unknown("source " + spec.Source + ": " + err.Error())
	}
	family, err := got.families[spec.Source].Find(spec.Metric)
	if err != nil {
		// Series of OpenTelemetry appear with their first record: when this one does, it began at zero.
		r, _ := s.series[spec.Name].observe(nil, nil)
		s.absent(now, spec, r)
		return guard.Unknown(err.Error())
	}
	r, found := s.series[spec.Name].observe(family, spec.Labels)
	if !found {
		s.absent(now, spec, r)
		return guard.Unknown("no series of " + spec.Metric + " has the labels")
	}
	if len(r.histogram.Bounds) > 0 {
		histograms[spec.Name] = r.histogram
	}
	w := s.window[spec.Name]
	w.add(point{at: now, reading: r})
	return w.value(spec.Stat)
}

// absent gives what will be counted a point to be counted from. A gauge that is absent is not zero.
func (s *Sampler) absent(now time.Time, spec Spec, r reading) {
	if spec.Stat != Growth {
		s.window[spec.Name].add(point{at: now, reading: r})
	}
}

func ratio(dividend, divisor guard.Value) guard.Value {
	switch {
	case !dividend.OK:
		return dividend
	case !divisor.OK:
		return divisor
	}
	return known(dividend.Number / divisor.Number)
}
