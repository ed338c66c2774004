// Package foundation is the applications' door: HTTP/JSON on a unix socket and on loopback TCP, by which
// applications emit events. It also serves the handlers that extensions have for applications, and puts
// the events of extensions into the pipeline.
package foundation

import (
	"context"
	"fmt"
	"net/http"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/receiver"
	"golang.org/x/sync/semaphore"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/spans"
)

type foundationReceiver struct {
	cfg *Config
	set receiver.Settings

	logs      logsOutlet
	inFlight  *semaphore.Weighted // of cfg.MaxInFlightBytes
	maxBody   int64               // that any door takes
	telemetry *telemetry
	calls     map[string]call

	// Set by start.
	registry agents.Registry // nil when none is configured
	spans    spans.Table     // nil when none is configured
	events   *extensionEvents
	doors    []*openDoor

	policy     *enforcement.Policy // nil when none is configured
	hidePolicy func()
}

func newReceiver(cfg *Config, set receiver.Settings) (*foundationReceiver, error) {
	t, err := newTelemetry(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	outlet, err := newLogsOutlet(set)
	if err != nil {
		return nil, err
	}
	r := &foundationReceiver{
		cfg:       cfg,
		set:       set,
		logs:      outlet,
		inFlight:  semaphore.NewWeighted(cfg.MaxInFlightBytes),
		telemetry: t,
	}
	if unix := cfg.Unix.Get(); unix != nil {
		r.maxBody = unix.Server.MaxRequestBodySize
	}
	if tcp := cfg.HTTP.Get(); tcp != nil {
		r.maxBody = max(r.maxBody, tcp.MaxRequestBodySize)
	}
	r.calls = r.lineCalls()
	return r, nil
}

// start finds the extensions that the configuration names, then opens the doors.
func (r *foundationReceiver) start(ctx context.Context, h component.Host) (err error) {
	if r.cfg.Registry != nil {
		if r.registry, err = host.Extension[agents.Registry](h, "registry", *r.cfg.Registry); err != nil {
			return err
		}
	}
	if r.cfg.OpenSpans != nil {
		if r.spans, err = host.Extension[spans.Table](h, "open_spans", *r.cfg.OpenSpans); err != nil {
			return err
		}
	}
	if err := r.startEnforcement(h); err != nil {
		return err
	}
	mux := http.NewServeMux()
	r.routes(mux)
	for _, id := range r.cfg.Mount {
		if err := mount(mux, h, id); err != nil {
			return err
		}
	}
	if r.events, err = r.findExtensionEvents(h); err != nil {
		return err
	}
	if err := r.telemetry.start(r.events.overflowed); err != nil {
		return err
	}
	r.events.start()
	return r.openDoors(ctx, h, door.JSONErrors(mux, "GET /v1/openapi.yaml lists what there is"))
}

// mount adds the handlers of the extension id.
func mount(mux *http.ServeMux, h component.Host, id component.ID) (err error) {
	ext, err := host.Extension[door.Handlers](h, "mount", id)
	if err != nil {
		return err
	}
	defer func() {
		// ServeMux panics where two patterns conflict: two extensions of one kind.
		if conflict := recover(); conflict != nil {
			err = fmt.Errorf("mount: %q cannot be mounted beside the others: %v", id, conflict)
		}
	}()
	ext.MountApplication(mux)
	return nil
}

// shutdown closes the doors, then delivers what extensions have told so far.
func (r *foundationReceiver) shutdown(ctx context.Context) error {
	err := r.closeDoors(ctx)
	if r.events != nil {
		r.events.stop()
	}
	if r.hidePolicy != nil {
		r.hidePolicy()
	}
	r.telemetry.builder.Shutdown()
	return err
}
