// This file is the extension itself: what it is made of, and how it starts and stops.

package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"

	"github.com/foundation-agent/foundation-agent/extension/control/internal/metadata"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/host"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// eventBuffer is how many audit events wait for the receiver.
const eventBuffer = 256

// control implements operator.Registrar for components, extevent.Source for the receiver and
// componentstatus.Watcher for its own view of the agent's health.
type control struct {
	set       extension.Settings
	cfg       *Config
	startedAt time.Time

	registry  *registry
	tables    *tables
	resumed   *resumption
	checks    *checks
	audit     *audit
	health    *health
	metrics   *ownMetrics
	sampler   *sampler
	events    *extevent.Buffer
	telemetry *metadata.TelemetryBuilder

	servers []*server
}

var (
	_ extensioncapabilities.Dependent       = (*control)(nil)
	_ extensioncapabilities.PipelineWatcher = (*control)(nil)
	_ operator.Registrar                    = (*control)(nil)
	_ operator.Inspector                    = (*control)(nil)
	_ extevent.Source                       = (*control)(nil)
)

func newControl(set extension.Settings, cfg *Config) (*control, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	events := extevent.NewBuffer(eventBuffer)
	registry := newRegistry(set.Logger)
	metrics := newOwnMetrics()
	sampler := newSampler(registry, metrics, set.Logger)
	audit := newAudit(cfg.AuditEntries, set.Logger, telemetry, events)
	tables := newTables(cfg, registry, audit, set.BuildInfo.Version)
	return &control{
		set:       set,
		cfg:       cfg,
		registry:  registry,
		tables:    tables,
		resumed:   &resumption{logger: set.Logger, tables: tables},
		checks:    newChecks(cfg.CheckTimeout, registry, set.BuildInfo, metrics, sampler),
		metrics:   metrics,
		sampler:   sampler,
		audit:     audit,
		health:    newHealth(),
		events:    events,
		telemetry: telemetry,
	}, nil
}

// Dependencies are the extensions that are served: they start before control and stop after it.
func (c *control) Dependencies() []component.ID { return c.cfg.Serve }

// Events are the audit's: one for each mutation.
func (c *control) Events() *extevent.Buffer { return c.events }

// RegisterTable makes a table known to operators until remove is called. If a crash has cut a restore of it short,
// that is completed first.
func (c *control) RegisterTable(t operator.Table) (remove func()) {
	c.resumed.complete(t)
	return c.registry.addTable(t)
}

// RegisterCheck makes a self-check known to operators until remove is called.
func (c *control) RegisterCheck(ch operator.Check) (remove func()) { return c.registry.addCheck(ch) }

// RegisterTap lets operators look at the records that leave a component until remove is called.
func (c *control) RegisterTap(t *operator.Tap) (remove func()) { return c.registry.addTap(t) }

// RegisterPreviewer lets `migrate preview` ask a component that has no table, until remove is called.
func (c *control) RegisterPreviewer(p operator.Previewer) (remove func()) {
	return c.registry.addPreviewer(p)
}

// Previews returns what every table and component that can tells of its flags.
func (c *control) Previews() []operator.Preview { return c.registry.previews() }

// Tables returns every registered table, by name.
func (c *control) Tables() []operator.Table { return c.registry.listTables() }

// RunChecks runs the self-checks of these names, or all.
func (c *control) RunChecks(ctx context.Context, names ...string) (operator.Diagnostics, error) {
	return c.checks.run(ctx, names)
}

// Start finds the extensions to serve and listens.
func (c *control) Start(ctx context.Context, h component.Host) error {
	c.startedAt = time.Now()
	if err := c.resumed.begin(); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	api, err := c.buildAPI(h)
	if err != nil {
		return err
	}
	if err := c.listen(ctx, h, api); err != nil {
		return errors.Join(err, c.Shutdown(ctx))
	}
	return nil
}

// Ready is when pipelines have started.
func (c *control) Ready() error { return c.resumed.end() }

// NotReady has nothing to do.
func (*control) NotReady() error { return nil }

// buildAPI puts control's own routes and those of the served extensions behind one handler.
func (c *control) buildAPI(h component.Host) (http.Handler, error) {
	routes := newRouter(c.audit)
	own := [][]operator.Route{c.statusRoutes(), c.audit.routes(), c.tables.routes(), c.checks.routes(), c.registry.logRoutes()}
	for _, r := range own {
		if err := routes.add("control", r); err != nil {
			return nil, err
		}
	}
	for _, id := range c.cfg.Serve {
		ext, err := host.Extension[operator.Routes](h, "serve", id)
		if err != nil {
			return nil, err
		}
		if err := routes.add(id.String(), ext.OperatorRoutes()); err != nil {
			return nil, err
		}
		c.addExtension(ext)
	}
	return routes, nil
}

// addExtension takes in what a served extension has beside its routes.
func (c *control) addExtension(ext any) {
	if t, ok := ext.(operator.Tables); ok {
		for _, table := range t.OperatorTables() {
			c.RegisterTable(table)
		}
	}
	if checks, ok := ext.(operator.Checks); ok {
		for _, check := range checks.OperatorChecks() {
			c.RegisterCheck(check)
		}
	}
}

func (c *control) listen(ctx context.Context, h component.Host, api http.Handler) error {
	s, err := listenSocket(c.cfg.Socket, c.set.TelemetrySettings, api)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.servers = append(c.servers, s)
	if tcp := c.cfg.TCP.Get(); tcp != nil {
		s, err := listenTCP(ctx, h, tcp, c.set.TelemetrySettings, api)
		if err != nil {
			return fmt.Errorf("tcp: %w", err)
		}
		c.servers = append(c.servers, s)
	}
	if cfg := c.cfg.StatusPage.Get(); cfg != nil {
		s, err := listenTCP(ctx, h, cfg, c.set.TelemetrySettings, newStatusPage(c.board(api), c.set.Logger))
		if err != nil {
			return fmt.Errorf("status_page: %w", err)
		}
		c.servers = append(c.servers, s)
	}
	for _, s := range c.servers {
		s.serve(h)
	}
	c.sampler.start()
	return nil
}

func (c *control) board(api http.Handler) *board {
	return &board{
		api:     api,
		status:  c.status,
		tables:  func() []operator.TableView { return viewsOf(c.registry.listTables()) },
		samples: c.sampler.list,
		audit:   c.audit.list,
	}
}

// Shutdown stops listening, lets requests under way finish while ctx allows, and cuts the rest.
func (c *control) Shutdown(ctx context.Context) error {
	var errs []error
	for _, s := range c.servers {
		errs = append(errs, s.shutdown(ctx))
	}
	c.servers = nil
	c.checks.wait()
	c.sampler.shutdown()
	c.metrics.close()
	c.telemetry.Shutdown()
	return errors.Join(errs...)
}
