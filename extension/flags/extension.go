// Package flags is the feature_flags extension: flag definitions in flagd's format, overrides at run
// time, handles for components, and OFREP for applications.
package flags

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/extension/flags/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

var (
	_ extension.Extension             = (*flagsExtension)(nil)
	_ extensioncapabilities.Dependent = (*flagsExtension)(nil)
	_ flag.Switch                     = (*flagsExtension)(nil)
	_ door.Handlers                   = (*flagsExtension)(nil)
	_ operator.Routes                 = (*flagsExtension)(nil)
	_ extevent.Source                 = (*flagsExtension)(nil)
)

// maxEvents waits for the receiver at most.
const maxEvents = 1_000

type flagsExtension struct {
	cfg       *Config
	set       extension.Settings
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	host      *flagd.Context // this host; used under mu

	state       atomic.Pointer[state]
	dispatcher  *dispatcher
	definitions definitions
	watcher     *watcher
	store       *store
	ofrep       *ofrep
	events      *extevent.Buffer

	mu    sync.Mutex // one change at a time
	bound []string   // names of the bound flags; the index is the slot

	collectorHost component.Host

	stop    chan struct{}
	running sync.WaitGroup
}

func newExtension(set extension.Settings, cfg *Config) (*flagsExtension, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	e := &flagsExtension{
		cfg:       cfg,
		set:       set,
		logger:    set.Logger,
		telemetry: telemetry,
		host:      flagd.KeyContext(cfg.HostKey),
		events:    extevent.NewBuffer(maxEvents),
		stop:      make(chan struct{}),
	}
	e.state.Store(&state{definitions: flagd.Merge()})
	e.dispatcher = newDispatcher(e.announce)
	e.store = newStore(cfg, set.Logger)
	e.ofrep = newOFREP(&cfg.OFREP, &e.state, e.stop)
	return e, nil
}

// Dependencies makes the collector start the storage, and who authenticates, first.
func (e *flagsExtension) Dependencies() []component.ID {
	var ids []component.ID
	if e.cfg.Storage != nil {
		ids = append(ids, *e.cfg.Storage)
	}
	if server := e.cfg.OFREP.HTTP.Get(); server != nil {
		if auth := server.Auth.Get(); auth != nil {
			ids = append(ids, auth.Config.AuthenticatorID)
		}
	}
	return ids
}

// Events are the changes of flags, for the receiver.
func (e *flagsExtension) Events() *extevent.Buffer { return e.events }

// Start reads definitions and overrides. Components bind their handles after it.
func (e *flagsExtension) Start(ctx context.Context, host component.Host) (err error) {
	e.collectorHost = host
	overrides, trouble, err := e.store.open(ctx, host, e.set.ID)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.store.close(ctx))
		}
	}()
	set, err := e.firstDefinitions(ctx)
	if err != nil {
		return err
	}
	e.begin(set, overrides, trouble)
	watcher, err := newWatcher(e.cfg.Files, e.reload, e.logger)
	if err != nil {
		return err
	}
	if err := errors.Join(e.observe(), e.ofrep.listen(ctx, host, e.set.TelemetrySettings, e.spawn)); err != nil {
		e.telemetry.Shutdown()
		return errors.Join(err, watcher.close())
	}
	e.watcher = watcher
	e.spawn(func() { e.store.run(e.stop) })
	e.spawn(func() { e.dispatcher.run(e.stop) })
	e.spawn(func() { watcher.run(e.stop) })
	e.spawn(func() { e.watchTime(e.stop) })
	return nil
}

// begin makes the first state. Where overrides were lost, or are there and cannot be read, nobody knows
// what was rolled back: all migration flags start false, and stay so until an operator says otherwise.
func (e *flagsExtension) begin(set *flagd.Set, overrides map[string]override, trouble error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := &state{definitions: set, overrides: overrides}
	if trouble != nil {
		by := flag.Author{Name: "feature_flags", Reason: "at start: " + trouble.Error()}
		first.overrides = first.with(migrationsOff(set, by, now()))
		e.logger.Error("Overrides of flags are lost or unreadable: all migration flags are false", zap.Error(trouble))
	}
	if len(overrides) > 0 {
		e.logger.Info("Overrides of flags restored", zap.Strings("flags", slices.Sorted(maps.Keys(overrides))))
	}
	n := first.next(set, first.overrides, e.host, e.bound, now())
	e.state.Store(n)
	e.warn(n)
	if trouble != nil {
		e.store.offer(n)
	}
}

// Shutdown stops serving, tells what is still to be told, and stores what is still to be stored.
func (e *flagsExtension) Shutdown(ctx context.Context) error {
	if e.watcher == nil { // not started
		return nil
	}
	close(e.stop)
	err := e.ofrep.shutdown(ctx)
	e.running.Wait()
	e.telemetry.Shutdown()
	return errors.Join(err, e.watcher.close(), e.store.close(ctx))
}

func (e *flagsExtension) status(event *componentstatus.Event) {
	componentstatus.ReportStatus(e.collectorHost, event)
}

func (e *flagsExtension) spawn(run func()) {
	e.running.Add(1)
	go func() {
		defer e.running.Done()
		run()
	}()
}

func now() time.Time { return time.Now().UTC() }
