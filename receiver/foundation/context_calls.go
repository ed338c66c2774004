package foundation

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// contextCalls are the calls that change a process's error context.
func (r *foundationReceiver) contextCalls() map[string]call {
	return map[string]call{
		"context.set":  {"/v1/context/set", r.onContext(withValues, spans.Table.SetContext)},
		"context.push": {"/v1/context/push", r.onContext(withValues, spans.Table.PushContext)},
		"context.pop": {"/v1/context/pop", r.onContext(withoutValues, func(t spans.Table, s spans.Sender, _ pcommon.Map) error {
			return t.PopContext(s)
		})},
		"context.clear": {"/v1/context/clear", r.onContext(withoutValues, func(t spans.Table, s spans.Sender, _ pcommon.Map) error {
			return t.ClearContext(s)
		})},
	}
}

// contextAnswer is the merged error context of a process.
type contextAnswer struct {
	Context map[string]any `json:"context"`
}

// onContext is a call on the context of a process. It answers the context as it is then.
func (r *foundationReceiver) onContext(allowed spanFields, do func(spans.Table, spans.Sender, pcommon.Map) error) callFunc {
	return func(ctx context.Context, _ *sender, object []byte) (any, error) {
		if r.spans == nil {
			return nil, errNoSpans
		}
		d := spanDecoders.Get().(*spanDecoder)
		defer spanDecoders.Put(d)
		values, err := d.decodeContext(object, allowed)
		if err != nil {
			return nil, err
		}
		s := r.spans.Sender(ctx, d.agentID, d.process)
		if err := do(r.spans, s, values); err != nil {
			return nil, spanError(err)
		}
		merged, err := r.spans.Context(s)
		if err != nil {
			return nil, spanError(err)
		}
		return contextAnswer{merged.AsRaw()}, nil
	}
}
