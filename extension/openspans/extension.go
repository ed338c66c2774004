// This file is the extension itself: what it is made of, and how it starts and stops.

package openspans

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/openspans/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/journal"
)

// openSpans is the extension: the table, and what keeps it, feeds it and shows it.
type openSpans struct {
	*table
	set       extension.Settings
	cfg       *Config
	telemetry *metadata.TelemetryBuilder

	calls    flag.Handle
	preview  preview         // of the calls, while the flag is off
	registry agents.Registry // nil where none is configured
	attached atomic.Bool     // it has an outlet

	storage storage.Client // nil where none is configured
	journal *journal.Log   // nil where there is no storage, or it could not be read

	stops []func() // of what Start has started, the latest last
}

var (
	_ extensioncapabilities.Dependent       = (*openSpans)(nil)
	_ extensioncapabilities.PipelineWatcher = (*openSpans)(nil)
	_ extevent.Source                       = (*openSpans)(nil)
)

func newOpenSpans(set extension.Settings, cfg *Config) (*openSpans, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &openSpans{
		table:     newTable(cfg, set.Logger, newClock()),
		set:       set,
		cfg:       cfg,
		telemetry: telemetry,
		calls:     flag.On,
	}, nil
}

// Dependencies are the extensions that start before this one and stop after it.
func (o *openSpans) Dependencies() []component.ID {
	var ids []component.ID
	for _, id := range []*component.ID{o.cfg.Storage, o.cfg.Registry, o.cfg.Flags} {
		if id != nil {
			ids = append(ids, *id)
		}
	}
	return ids
}

// Events are the obituaries.
func (o *openSpans) Events() *extevent.Buffer { return o.table.events }

// Start finds what the configuration names, restores the table, and applies what happened meanwhile.
func (o *openSpans) Start(ctx context.Context, h component.Host) error {
	if err := o.start(ctx, h); err != nil {
		return errors.Join(err, o.Shutdown(ctx))
	}
	return nil
}

func (o *openSpans) start(ctx context.Context, h component.Host) error {
	if err := o.bindFlags(h); err != nil {
		return err
	}
	if err := o.table.observe(o.telemetry); err != nil {
		return err
	}
	if o.cfg.Storage != nil {
		if err := o.openStorage(ctx, h); err != nil {
			return err
		}
	}
	o.startTicking()
	if o.cfg.Registry == nil {
		return nil
	}
	registry, err := host.Extension[agents.Registry](h, "registry", *o.cfg.Registry)
	if err != nil {
		return err
	}
	o.registry = registry
	o.stops = append(o.stops, registry.WatchDowns(o.table.down))
	return nil
}

func (o *openSpans) bindFlags(h component.Host) (err error) {
	if o.calls, err = flag.Find(h, o.cfg.Flags, "calls_flag", o.cfg.CallsFlag); err != nil {
		return err
	}
	management, err := flag.Find(h, o.cfg.Flags, "management_flag", o.cfg.ManagementFlag)
	if err != nil {
		return err
	}
	o.table.managed = management.Enabled
	return nil
}

// openStorage restores the table. What cannot be read is left alone, and the table works from memory,
// visibly; a newer format ends the start.
func (o *openSpans) openStorage(ctx context.Context, h component.Host) error {
	ext, err := host.Extension[storage.Extension](h, "storage", *o.cfg.Storage)
	if err != nil {
		return err
	}
	if o.storage, err = ext.GetClient(ctx, component.KindExtension, o.set.ID, ""); err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	began := time.Now()
	im := newImage()
	o.table.persist = true
	o.journal, err = journal.Open(ctx, o.storage, journal.Config{
		Interval: o.cfg.StorageInterval,
		Format:   storedFormat,
		Snapshot: o.table.snapshot,
		Collect:  o.table.collect,
		Logger:   o.set.Logger,
	}, func(_ uint32, record []byte) error { return im.read(record) })
	if errors.Is(err, journal.ErrNewerFormat) {
		return fmt.Errorf("storage: %w", err)
	}
	if err != nil {
		o.table.persist = false
		o.set.Logger.Error("The stored table cannot be read. It is left as it is; open spans are kept in memory only", zap.Error(err))
		componentstatus.ReportStatus(h, componentstatus.NewRecoverableErrorEvent(fmt.Errorf("storage: %w", err)))
		return nil
	}
	added := len(o.table.apply(im).entries)
	o.table.stats.restoreNs.Store(int64(time.Since(began)))
	if added > 0 {
		o.set.Logger.Info("Restored spans", zap.Int("spans", added), zap.Duration("took", time.Since(began)))
	}
	return nil
}

// startTicking applies deadlines from now on.
func (o *openSpans) startTicking() {
	ticker := time.NewTicker(wheelTick)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				o.table.tick()
			}
		}
	})
	o.stops = append(o.stops, func() {
		ticker.Stop()
		close(done)
		running.Wait()
	})
}

// Ready fails where nothing could leave the table.
func (o *openSpans) Ready() error {
	if !o.attached.Load() {
		return fmt.Errorf("%s has no outlet: list a span_lifecycle processor that names it in a traces pipeline", o.set.ID)
	}
	return nil
}

// NotReady has nothing to do: the outlet goes with its pipeline.
func (*openSpans) NotReady() error { return nil }

// delivers reports whether open spans end when the agent stops.
func (o *openSpans) delivers() bool {
	return o.cfg.OnShutdown == deliverOnShutdown || o.journal == nil
}

// Shutdown stops what Start has started, and stores the table.
func (o *openSpans) Shutdown(ctx context.Context) error {
	for i := len(o.stops) - 1; i >= 0; i-- {
		o.stops[i]()
	}
	o.stops = nil
	var errs []error
	if o.journal != nil {
		errs = append(errs, o.journal.Close(ctx))
	}
	if o.storage != nil {
		errs = append(errs, o.storage.Close(ctx))
	}
	o.telemetry.Shutdown()
	return errors.Join(errs...)
}
