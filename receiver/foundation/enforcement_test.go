package foundation

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/enforcement"
	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// flagsAndControl is a feature_flags extension with one flag, and a control extension, in one.
type flagsAndControl struct {
	component.StartFunc
	component.ShutdownFunc
	operator.Registrar
	strict atomic.Bool
	table  operator.Table
}

func (f *flagsAndControl) Bind(string) (flag.Handle, error) { return f, nil }
func (*flagsAndControl) Name() string                       { return enforcement.DefaultFlag }
func (f *flagsAndControl) Enabled() bool                    { return f.strict.Load() }
func (*flagsAndControl) OnChange(func(bool)) (stop func())  { return func() {} }
func (f *flagsAndControl) RegisterTable(t operator.Table) func() {
	f.table = t
	return func() { f.table = nil }
}

const (
	legacyEvent = `{"name":"old","agent_id":"a","metadata":{"foundation.legacy":true}}`
	newEvent    = `{"name":"new","agent_id":"a"}`
)

func TestEnforcement(t *testing.T) {
	id := component.MustNewID("feature_flags")
	ext := &flagsAndControl{}
	cfg := onUnix(t)
	cfg.Control = &id
	cfg.Enforcement.GetOrInsertDefault().Flags = &id
	next := &pipeline{}
	c := start(t, cfg, next, map[component.ID]component.Component{id: ext})

	got := c.lines(legacyEvent, newEvent)
	assert.Equal(t, 2, got.Accepted, "audit refuses nothing")
	mark, marked := next.records()[0].Attributes().Get(attr.Violation)
	require.True(t, marked)
	assert.Equal(t, "legacy", mark.Str())
	_, marked = next.records()[1].Attributes().Get(attr.Violation)
	assert.False(t, marked)

	ext.strict.Store(true)
	got = c.lines(newEvent, legacyEvent, newEvent)
	assert.Equal(t, http.StatusAccepted, got.status)
	assert.Equal(t, 2, got.Accepted, "a refusal takes no others with it")
	require.Len(t, got.Errors, 1)
	assert.Equal(t, 2, got.Errors[0].Line)
	assert.Equal(t, "legacy", got.Errors[0].Code)
	assert.Equal(t, http.StatusForbidden, c.emit(legacyEvent).status)
	assert.Equal(t, http.StatusAccepted, c.emit(`{"name":"plain"}`).status, "no agent.id is no violation unless configured")

	v := ext.table.(enforcement.Reporter).Violations()
	assert.EqualValues(t, 3, v.Total)
	require.Len(t, v.Offenders, 1)
	assert.Equal(t, "a", v.Offenders[0].Sender)
	metric, err := c.tel.GetMetric("otelcol_foundation_violations")
	require.NoError(t, err)
	assert.NotNil(t, metric)
}

func TestEnforcementOfAgentIDs(t *testing.T) {
	cfg := onUnix(t)
	cfg.Enforcement.GetOrInsertDefault().RequireAgentID = true // without flags: strict at once
	c := start(t, cfg, &pipeline{}, nil)
	got := c.emit(`{"name":"plain"}`)
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Equal(t, "no_agent_id", got.Error.Code)
	assert.Equal(t, http.StatusAccepted, c.emit(newEvent).status)
}

func TestEnforcementOfSpans(t *testing.T) {
	c, sink := withSpans(t, func(cfg *Config) { cfg.Enforcement.GetOrInsertDefault() }) // without flags: strict at once
	got := c.do(c.request(http.MethodPost, "/v1/spans/start", "application/json", `{"name":"old","attributes":{"foundation.legacy":true}}`))
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Equal(t, "legacy", got.Error.Code)
	got = c.do(c.request(http.MethodPost, "/v1/spans/start", "application/json", `{"name":"new"}`))
	assert.Less(t, got.status, http.StatusBadRequest, got.text)
	assert.Empty(t, sink.spans)
}
