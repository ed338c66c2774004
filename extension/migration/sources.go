// This file builds the sampler from the configuration: a scraper or a querier for each source.

package migration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/internal/exposition"
)

// sampleTimeout bounds one sample of a source, however long the interval.
const sampleTimeout = 10 * time.Second

func (m *migration) newSampler(ctx context.Context, h component.Host) (*signal.Sampler, error) {
	cfg := signal.Config{
		Specs:    m.specs(),
		Readers:  map[string]signal.Reader{},
		Queriers: map[string]*signal.Querier{},
		Timeout:  min(m.cfg.Interval, sampleTimeout),
	}
	for _, name := range m.usedSources(cfg.Specs) {
		if err := m.addSource(ctx, h, &cfg, name); err != nil {
			return nil, fmt.Errorf("sources::%s: %w", name, err)
		}
	}
	m.own = cfg.Readers[selfSource]
	return signal.NewSampler(cfg), nil
}

func (m *migration) addSource(ctx context.Context, h component.Host, cfg *signal.Config, name string) error {
	if name == vitalsSource {
		cfg.Readers[name] = signal.Vitals{Agents: m.agents}
		return nil
	}
	source, ok := m.cfg.Sources[name]
	if !ok {
		source = SourceConfig{Type: sourceSelf, ClientConfig: confighttp.NewDefaultClientConfig()}
	}
	client, err := source.ToClient(ctx, h.GetExtensions(), m.set.TelemetrySettings)
	if err != nil {
		return err
	}
	m.closers = append(m.closers, client.CloseIdleConnections)
	url := func() (string, error) { return source.Endpoint, nil }
	switch {
	case source.Type == sourcePromQL:
		cfg.Queriers[name], err = signal.NewQuerier(source.Endpoint, client)
		return err
	case source.Endpoint == "":
		url = m.self.location.URL
	}
	cfg.Readers[name] = &exposition.Scraper{URL: url, Client: client}
	return nil
}

// specs are the signals, by name.
func (m *migration) specs() []signal.Spec {
	specs := make([]signal.Spec, 0, len(m.cfg.Signals))
	for _, name := range slices.Sorted(maps.Keys(m.cfg.Signals)) {
		s := m.cfg.Signals[name]
		stat, err := signal.ParseStat(s.stat())
		if err != nil {
			panic(err) // validated
		}
		specs = append(specs, signal.Spec{
			Name: name, Source: s.source(), Metric: s.Metric, Labels: s.Labels, Query: s.Query, Stat: stat,
			Dividend: s.Dividend, Divisor: s.Divisor, Unit: s.Unit, Window: s.window(),
		})
	}
	return specs
}

// usedSources are those that a signal is read from, and self, where rehearsals read the account.
func (m *migration) usedSources(specs []signal.Spec) []string {
	used := map[string]bool{selfSource: true}
	for _, s := range specs {
		if s.Stat != signal.Ratio {
			used[s.Source] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// units of the signals, by name.
func (c *Config) units() map[string]string {
	units := make(map[string]string, len(c.Signals))
	for name, s := range c.Signals {
		units[name] = s.Unit
	}
	return units
}
