package enforcement

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/door"
)

// switched is a flag.Handle that a test switches.
type switched struct{ on bool }

func (*switched) Name() string                      { return DefaultFlag }
func (s *switched) Enabled() bool                   { return s.on }
func (*switched) OnChange(func(bool)) (stop func()) { return func() {} }

func TestAuditThenStrict(t *testing.T) {
	strict := &switched{}
	p := New("foundation", NewDefaultConfig(), strict)
	legacy := Record{Sender: "a", Legacy: true, AgentID: true}

	verdict, kind := p.Check(legacy)
	assert.Equal(t, Found, verdict)
	assert.Equal(t, Legacy, kind)
	assert.Equal(t, int64(1), p.Previews()[0].Detail["kinds"].(map[string]int64)["legacy"])

	strict.on = true
	verdict, _ = p.Check(legacy)
	assert.Equal(t, Refuse, verdict)
	verdict, _ = p.Check(Record{Sender: "plain"})
	assert.Equal(t, Clean, verdict, "plain OTLP without agent.id is exempt")

	v := p.Violations()
	assert.True(t, v.Strict)
	assert.Equal(t, int64(2), v.Total)
	require.Len(t, v.Offenders, 1)
	assert.Equal(t, "a", v.Offenders[0].Sender)
	assert.Equal(t, int64(2), v.Offenders[0].Count)
	assert.Equal(t, int64(1), v.Places[0].Refused)
	assert.Equal(t, int64(1), v.Places[0].Marked)
}

func TestAgentIDWhereConfigured(t *testing.T) {
	cfg := NewDefaultAudit()
	cfg.RequireAgentID = true
	p := NewAudit("span_lifecycle", cfg)
	verdict, kind := p.Check(Record{Sender: "127.0.0.1"})
	assert.Equal(t, Found, verdict, "without a flag nothing is refused")
	assert.Equal(t, NoAgentID, kind)
	verdict, _ = p.Check(Record{Sender: "a", AgentID: true})
	assert.Equal(t, Clean, verdict)
}

func TestNobodyLooks(t *testing.T) {
	var p *Policy
	verdict, _ := p.Check(Record{Legacy: true})
	assert.Equal(t, Clean, verdict)
}

func TestOffendersAreBounded(t *testing.T) {
	cfg := NewDefaultAudit()
	cfg.Offenders = 10
	p := NewAudit("foundation", cfg)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				p.Check(Record{Sender: string(rune('a' + g*20 + i%20)), Legacy: true})
			}
		})
	}
	wg.Wait()
	v := p.Violations()
	assert.Equal(t, int64(400), v.Total)
	assert.Len(t, v.Offenders, 10)
}

func TestValidate(t *testing.T) {
	cfg := NewDefaultConfig()
	require.NoError(t, cfg.Validate())
	cfg.Flag = ""
	require.ErrorContains(t, cfg.Validate(), "flag")
	cfg = NewDefaultConfig()
	cfg.Offenders = 0
	require.ErrorContains(t, cfg.Validate(), "offenders: 0")
}

func TestMarkLogsAndSpansOnce(t *testing.T) {
	p := NewAudit("span_lifecycle", NewDefaultAudit())
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "shop")
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Attributes().PutBool(attr.Legacy, true)
	records.AppendEmpty().Attributes().PutBool(attr.Legacy, false)
	p.MarkLogs(t.Context(), ld)
	p.MarkLogs(door.WithCaller(t.Context(), door.Caller{}), ld) // judged by the receiver: counted once
	mark, ok := records.At(0).Attributes().Get(attr.Violation)
	require.True(t, ok)
	assert.Equal(t, "legacy", mark.Str())
	_, ok = records.At(1).Attributes().Get(attr.Violation)
	assert.False(t, ok)

	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr(attr.AgentID, "a")
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().Attributes().PutBool(attr.Legacy, true)
	p.MarkTraces(t.Context(), td)

	v := p.Violations()
	assert.Equal(t, int64(2), v.Total)
	assert.ElementsMatch(t, []string{"shop", "a"}, []string{v.Offenders[0].Sender, v.Offenders[1].Sender})
	assert.Empty(t, p.Previews()[0].Flag, "it refuses nothing, whatever the flag")
}
