// This file is the extension itself: what it is made of, and how it starts and stops.

package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/baseline"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/metadata"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/series"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
	"github.com/foundation-agent/foundation-agent/extension/migration/internal/store"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// eventBuffer is how many events wait for the receiver.
const eventBuffer = 1024

// migration implements operator.Routes for operators and extevent.Source for the receiver.
type migration struct {
	set       extension.Settings
	cfg       *Config
	telemetry *metadata.TelemetryBuilder
	events    *extevent.Buffer
	self      selfEndpoint

	// Made by Start.
	host      component.Host
	client    storage.Client
	store     *store.Store
	rollout   *rollout
	watch     *watch
	book      *baseline.Book
	series    *series.Series
	own       signal.Reader   // of the agent's own metrics
	agents    agents.Observer // nil without a registry
	monitored flag.Handle     // metrics and status events are wanted
	closers   []func()

	running context.Context // ends at shutdown
	stop    context.CancelFunc
	tasks   sync.WaitGroup
}

var (
	_ extensioncapabilities.Dependent = (*migration)(nil)
	_ operator.Routes                 = (*migration)(nil)
	_ extevent.Source                 = (*migration)(nil)
)

func newMigration(set extension.Settings, cfg *Config) (*migration, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	return &migration{
		set: set, cfg: cfg, telemetry: telemetry, events: extevent.NewBuffer(eventBuffer),
		self: selfEndpoint{told: make(chan struct{}, 1)}, running: running, stop: stop,
	}, nil
}

// Dependencies are the extensions that must run before this one.
func (m *migration) Dependencies() []component.ID {
	ids := []component.ID{m.cfg.Flags, m.cfg.Storage}
	if m.cfg.Registry != nil {
		ids = append(ids, *m.cfg.Registry)
	}
	return ids
}

// Events are those of the migration.
func (m *migration) Events() *extevent.Buffer { return m.events }

// Start restores the stage and makes it whole.
func (m *migration) Start(ctx context.Context, h component.Host) error {
	if err := m.start(ctx, h); err != nil {
		return errors.Join(err, m.Shutdown(ctx))
	}
	return nil
}

func (m *migration) start(ctx context.Context, h component.Host) error {
	m.host = h
	flags, err := host.Extension[flag.Switch](h, "flags", m.cfg.Flags)
	if err != nil {
		return err
	}
	if err := m.checkFlags(flags); err != nil {
		return err
	}
	if m.monitored, err = flags.Bind(m.cfg.MonitoringFlag); err != nil {
		return fmt.Errorf("monitoring_flag: %w", err)
	}
	if m.cfg.Registry != nil {
		if m.agents, err = host.Extension[agents.Observer](h, "registry", *m.cfg.Registry); err != nil {
			return err
		}
	}
	if err := m.openStore(ctx, h); err != nil {
		return err
	}
	if m.rollout, err = m.restore(ctx, flags); err != nil {
		return err
	}
	if err := m.rollout.recoverState(ctx); err != nil {
		return err
	}
	if err := m.buildWatch(ctx, h); err != nil {
		return err
	}
	if err := m.registerMetrics(); err != nil {
		return err
	}
	m.tasks.Go(func() { m.watch.run(m.running, m.self.told) })
	m.tasks.Go(func() { m.tellStatus(m.running) })
	return nil
}

func (m *migration) openStore(ctx context.Context, h component.Host) error {
	disk, err := host.Extension[storage.Extension](h, "storage", m.cfg.Storage)
	if err != nil {
		return err
	}
	if m.client, err = disk.GetClient(ctx, component.KindExtension, m.set.ID, ""); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	m.store = store.New(m.client)
	return nil
}

// buildWatch makes what samples, judges and keeps.
func (m *migration) buildWatch(ctx context.Context, h component.Host) error {
	var err error
	if m.book, err = baseline.Open(ctx, m.store, baseline.Config{
		Interval: m.cfg.Interval, MinSamples: m.cfg.Baseline.MinSamples, MinHourSamples: m.cfg.Baseline.MinHourSamples,
		Reference: m.cfg.Baseline.Reference, Units: m.cfg.units(), Done: m.baselineDone,
	}); err != nil {
		return fmt.Errorf("baselines: %w", err)
	}
	if m.series, err = series.Open(ctx, m.store, m.cfg.Report.Resolution, m.cfg.Report.Retention); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	sampler, err := m.newSampler(ctx, h)
	if err != nil {
		return err
	}
	all, err := newCriteria(m.cfg)
	if err != nil {
		return err
	}
	m.watch = &watch{
		cfg: m.cfg, logger: m.set.Logger, sampler: sampler, rollout: m.rollout, reference: m.book,
		recorders: []recorder{m.book, m.series}, versions: m.observedVersions, now: time.Now,
		position: m.rollout.position(), criteria: all, alerts: newAlerts(),
	}
	return nil
}

// observedVersions are those of this agent and of the services registered with it.
func (m *migration) observedVersions() []string {
	return append(m.serviceVersions(), m.set.BuildInfo.Command+" "+m.set.BuildInfo.Version)
}

// checkFlags refuses stages that name flags which are not defined.
func (m *migration) checkFlags(flags flag.Switch) error {
	defined := flags.States()
	for i, s := range m.cfg.Stages {
		for _, name := range s.Flags {
			if _, ok := defined[name]; !ok {
				known := make([]string, 0, len(defined))
				for other := range defined {
					known = append(known, other)
				}
				slices.Sort(known)
				return fmt.Errorf("stages[%d]::flags: %q is no boolean flag of %s; there are %v", i, name, m.cfg.Flags, known)
			}
		}
	}
	return nil
}

func (m *migration) restore(ctx context.Context, flags flag.Switch) (*rollout, error) {
	st, err := loadState(ctx, m.store)
	if err != nil {
		return nil, err
	}
	all := stages(m.cfg.Stages)
	if _, err := all.position(st.Stage); err != nil {
		return nil, fmt.Errorf("stages: the stage that is on is not configured: %w", err)
	}
	entries, err := loadHistory(ctx, m.store, st, m.cfg.HistoryLimit)
	if err != nil {
		return nil, err
	}
	tell := &herald{logger: m.set.Logger, telemetry: m.telemetry, events: m.events}
	return newRollout(all, flags, m.store, st, entries, tell, time.Now), nil
}

// Shutdown ends what is under way and stores what is left.
func (m *migration) Shutdown(ctx context.Context) error {
	m.stop()
	m.tasks.Wait() // each ends with m.running; a sample under way is cut
	for _, closeOne := range m.closers {
		closeOne()
	}
	m.closers = nil
	var errs []error
	if m.store != nil {
		errs = append(errs, m.store.Close(ctx))
	}
	if m.client != nil {
		errs = append(errs, m.client.Close(ctx))
	}
	m.telemetry.Shutdown()
	m.store, m.client = nil, nil
	return errors.Join(errs...)
}
