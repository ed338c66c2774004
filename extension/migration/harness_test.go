package migration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.yaml.in/yaml/v3"

	"github.com/foundation-agent/foundation-agent/extension/flags"
	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const patience = 15 * time.Second

// service is a service beside the agent, with a Prometheus endpoint whose text a test says.
type service struct {
	*httptest.Server
	mu   sync.Mutex
	text string
}

func startService(t *testing.T, text string) *service {
	s := &service{text: text}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, s.text)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

// registered is an agent_registry extension with one agent.
type registered struct {
	component.StartFunc
	component.ShutdownFunc
	mu     sync.Mutex
	vitals map[string]float64
}

func (r *registered) Registered() []*agents.Agent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []*agents.Agent{{ID: "a", Vitals: r.vitals, Labels: map[string]string{"service.version": "1"}}}
}

func (r *registered) say(vitals map[string]float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.vitals = vitals
}

type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// agent is the extension among real ones: file_storage on a disk, and feature_flags.
type agent struct {
	t          *testing.T
	dir        string
	host       testHost
	extension  *migration
	extensions []extension.Extension // in the order of their start
	mux        *http.ServeMux
}

// base is the configuration of every test: three stages, short times.
const base = `
flags: feature_flags
storage: file_storage
registry: agent_registry
interval: 100ms
cooldown: 0s
stable_time: 300ms
alert_after: 200ms
status_interval: 1s
baseline: {min_samples: 5, min_hour_samples: 1000}
report: {resolution: 100ms}
stages:
  - {id: "1", name: monitoring, flags: [enable_migration_monitoring]}
  - {id: "2", name: registry, flags: [use_ets_agent_registry], guard: [signal]}
  - {id: "3", name: events, flags: [use_ets_sampled_events], soak: 300ms}
`

func startAgent(t *testing.T, dir string, configs ...string) *agent {
	t.Helper()
	a := &agent{t: t, dir: dir, host: testHost{}}
	storageConfig := filestorage.NewFactory().CreateDefaultConfig().(*filestorage.Config)
	storageConfig.Directory = dir
	a.add(filestorage.NewFactory(), storageConfig)
	flagsConfig := flags.NewFactory().CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"files": []any{filepath.Join("..", "..", "config", "flags.json")}, "storage": "file_storage",
	}).Unmarshal(flagsConfig))
	a.add(flags.NewFactory(), flagsConfig)
	a.host[component.MustNewID("agent_registry")] = &registered{}
	a.extension = a.add(NewFactory(), loadConfig(t, configs...)).(*migration)
	a.extension.self.told <- struct{}{}
	a.mux = http.NewServeMux()
	for _, r := range a.extension.OperatorRoutes() {
		a.mux.HandleFunc(r.Pattern, r.Handler)
	}
	for _, name := range []string{"use_ets_agent_registry", "use_ets_sampled_events"} {
		_, err := a.switchboard().Bind(name)
		require.NoError(t, err)
	}
	t.Cleanup(a.stop)
	return a
}

// loadConfig merges YAML over the defaults, as the collector does, and validates it.
func loadConfig(t *testing.T, configs ...string) *Config {
	t.Helper()
	all := confmap.New()
	for _, text := range configs {
		var m map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &m))
		require.NoError(t, all.Merge(confmap.NewFromStringMap(m)))
	}
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, all.Unmarshal(cfg))
	require.NoError(t, confmap.Validate(cfg))
	return cfg
}

func (a *agent) add(factory extension.Factory, cfg component.Config) extension.Extension {
	a.t.Helper()
	set := extensiontest.NewNopSettings(factory.Type())
	set.ID = component.NewID(factory.Type())
	set.TelemetrySettings = componenttest.NewNopTelemetrySettings()
	ext, err := factory.Create(a.t.Context(), set, cfg)
	require.NoError(a.t, err)
	require.NoError(a.t, ext.Start(a.t.Context(), a.host))
	a.host[set.ID] = ext
	a.extensions = append(a.extensions, ext)
	return ext
}

func (a *agent) stop() {
	for i := len(a.extensions) - 1; i >= 0; i-- {
		require.NoError(a.t, a.extensions[i].Shutdown(context.Background()))
	}
	a.extensions = nil
}

func (a *agent) switchboard() flag.Switch {
	return a.host[component.MustNewID("feature_flags")].(flag.Switch)
}

func (a *agent) vitals(v map[string]float64) {
	a.host[component.MustNewID("agent_registry")].(*registered).say(v)
}

// call makes a call of the operators' API; a refusal is returned.
func (a *agent) call(method, path string, body, into any) *door.Error {
	a.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(a.t, err)
	w := httptest.NewRecorder()
	a.mux.ServeHTTP(w, httptest.NewRequest(method, path+"?author=ann&reason=test", bytes.NewReader(encoded)))
	if w.Code >= http.StatusBadRequest {
		var refused struct{ Error door.Error }
		require.NoError(a.t, json.Unmarshal(w.Body.Bytes(), &refused), w.Body.String())
		return &refused.Error
	}
	if into != nil {
		require.NoError(a.t, json.Unmarshal(w.Body.Bytes(), into), w.Body.String())
	}
	return nil
}

// advance goes one stage forward, when it may.
func (a *agent) advance() operator.MigrationChange {
	a.t.Helper()
	var change operator.MigrationChange
	require.Eventually(a.t, func() bool { return a.call(http.MethodPost, "/v1/migration/advance", map[string]any{}, &change) == nil }, patience, 20*time.Millisecond)
	return change
}

func (a *agent) status() (s operator.MigrationStatus) {
	a.t.Helper()
	require.Nil(a.t, a.call(http.MethodGet, "/v1/migration", nil, &s))
	return s
}

// until waits for the status to be so.
func (a *agent) until(what string, so func(operator.MigrationStatus) bool) operator.MigrationStatus {
	a.t.Helper()
	var s operator.MigrationStatus
	require.Eventually(a.t, func() bool { s = a.status(); return so(s) }, patience, 20*time.Millisecond, what)
	return s
}

// event waits for an event of that name.
func (a *agent) event(name string) extevent.Event {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	for {
		e, err := a.extension.Events().Next(ctx)
		require.NoError(a.t, err, "waiting for %s", name)
		if e.Name == name {
			return e
		}
	}
}
