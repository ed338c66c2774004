// This file is the extension: what it starts, what it offers, and what it stops.

package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/observer"
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/observer/endpointswatcher"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/registry/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// agentRegistry is the extension. What it offers in process and over HTTP are its embedded parts' own.
type agentRegistry struct {
	*api
	set       extension.Settings
	telemetry *metadata.TelemetryBuilder

	observer *endpointswatcher.EndpointsWatcher
	storage  storage.Client // nil without storage
	servers  []*server      // of its own endpoints
	opamp    *opamp         // nil where it is off
	unbind   func()         // from the flag
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

var (
	_ extension.Extension             = (*agentRegistry)(nil)
	_ extensioncapabilities.Dependent = (*agentRegistry)(nil)
	_ agents.Registry                 = (*agentRegistry)(nil)
	_ agents.Directory                = (*agentRegistry)(nil)
	_ door.Handlers                   = (*agentRegistry)(nil)
	_ operator.Routes                 = (*agentRegistry)(nil)
	_ operator.Tables                 = (*agentRegistry)(nil)
	_ operator.Checks                 = (*agentRegistry)(nil)
	_ extevent.Source                 = (*agentRegistry)(nil)
	_ observer.Observable             = (*agentRegistry)(nil)
)

func newExtension(set extension.Settings, cfg *Config) (*agentRegistry, error) {
	r, err := newRegistry(cfg, set.Logger)
	if err != nil {
		return nil, err
	}
	tb, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &agentRegistry{
		api: newAPI(r, tb.AgentRegistryOperationDuration), set: set, telemetry: tb,
		observer: endpointswatcher.New(r, observeEvery, set.Logger),
	}, nil
}

// Dependencies implements extensioncapabilities.Dependent.
func (x *agentRegistry) Dependencies() []component.ID {
	var ids []component.ID
	for _, id := range []*component.ID{x.cfg.Storage, x.cfg.Flags} {
		if id != nil {
			ids = append(ids, *id)
		}
	}
	return ids
}

// Events implements extevent.Source.
func (x *agentRegistry) Events() *extevent.Buffer { return x.events }

// ListAndWatch implements observer.Observable.
func (x *agentRegistry) ListAndWatch(notify observer.Notify) { x.observer.ListAndWatch(notify) }

// Unsubscribe implements observer.Observable.
func (x *agentRegistry) Unsubscribe(notify observer.Notify) { x.observer.Unsubscribe(notify) }

// Start implements component.Component.
func (x *agentRegistry) Start(ctx context.Context, h component.Host) error {
	if err := x.bindFlag(h); err != nil {
		return err
	}
	if x.watcher, x.noPidfd = proc.NewWatcher(); x.noPidfd != nil {
		x.logger.Warn("This system gives no pidfds: the end of a process is noticed when its lease lapses, not at once", zap.Error(x.noPidfd))
	}
	if err := x.startStorage(ctx, h); err != nil {
		return err
	}
	if err := x.observe(x.telemetry); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.Background())
	x.cancel = cancel
	x.running.Go(func() { x.sweepLeases(background) })
	x.running.Go(func() { x.hub.paceDeaths(background) })
	x.running.Go(x.reportEvents(background))
	return x.startServers(ctx, h)
}

func (x *agentRegistry) bindFlag(h component.Host) error {
	if x.cfg.Flags == nil {
		return nil
	}
	provider, err := host.Extension[flag.Provider](h, "flags", *x.cfg.Flags)
	if err != nil {
		return err
	}
	handle, err := provider.Bind(x.cfg.Flag)
	if err != nil {
		return fmt.Errorf("flag: %w", err)
	}
	x.flag = handle
	x.unbind = handle.OnChange(x.switched)
	return nil
}

// switched tells watchers that reads are on or off.
func (x *agentRegistry) switched(enabled bool) {
	e := agents.Event{Type: agents.EventReadsDisabled, At: x.now()}
	if enabled {
		e.Type = agents.EventReadsEnabled
	}
	x.hub.tell(e)
}

func (x *agentRegistry) startStorage(ctx context.Context, h component.Host) error {
	if x.cfg.Storage == nil {
		x.logger.Info("No storage is configured: registrations do not survive a restart")
		return nil
	}
	ext, err := host.Extension[storage.Extension](h, "storage", *x.cfg.Storage)
	if err != nil {
		return err
	}
	client, err := ext.GetClient(ctx, component.KindExtension, x.set.ID, "")
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	x.storage = client
	if err := x.openStore(ctx, client); err != nil {
		return fmt.Errorf("storage %q: %w", x.cfg.Storage, err)
	}
	return nil
}

// Shutdown implements component.Component. It may follow a Start that failed.
func (x *agentRegistry) Shutdown(ctx context.Context) error {
	var errs []error
	x.observer.StopListAndWatch()
	for _, s := range x.servers {
		errs = append(errs, s.close(ctx))
	}
	if x.opamp != nil {
		x.opamp.close()
	}
	if x.unbind != nil {
		x.unbind()
	}
	if x.cancel != nil {
		x.cancel()
		x.running.Wait()
	}
	if x.watcher != nil {
		x.watcher.Close()
	}
	if x.log != nil {
		errs = append(errs, x.log.Close(ctx))
	}
	if x.storage != nil {
		errs = append(errs, x.storage.Close(ctx))
	}
	x.telemetry.Shutdown()
	return errors.Join(errs...)
}
