package foundation

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// appendJSON appends the event as POST /v1/events takes it. Written out, because it runs in the
// application's own path: a quarter of what encoding/json takes.
func (e *Event) appendJSON(b []byte) ([]byte, error) {
	b = appendText(append(b, `{"name":`...), e.Name)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, e.Time.UnixNano(), 10)
	b = appendField(b, "severity", e.Severity)
	b = appendField(b, "body", e.Body)
	b = appendField(b, "agent_id", e.AgentID)
	b = appendField(b, "process", e.Process)
	b = appendField(b, "trace_id", e.TraceID)
	b = appendField(b, "span_id", e.SpanID)
	b = appendField(b, "dedup_key", e.DedupKey)
	b = appendField(b, "once_per", duration(e.OncePer))
	if e.Batch != nil {
		b = appendText(append(b, `,"batch":{"key":`...), e.Batch.Key)
		if e.Batch.Size != 0 {
			b = strconv.AppendInt(append(b, `,"size":`...), int64(e.Batch.Size), 10)
		}
		b = appendField(b, "timeout", duration(e.Batch.Timeout))
		b = append(b, '}')
	}
	if len(e.Measurements) > 0 {
		b = append(b, `,"measurements":{`...)
		for name, value := range e.Measurements {
			if math.IsNaN(value) || math.IsInf(value, 0) {
				return b, fmt.Errorf("measurement %q is %v; give a finite number", name, value)
			}
			b = append(appendText(b, name), ':')
			b = append(strconv.AppendFloat(b, value, 'g', -1, 64), ',')
		}
		b[len(b)-1] = '}'
	}
	if len(e.Metadata) > 0 {
		b = append(b, `,"metadata":{`...)
		for key, value := range e.Metadata {
			var err error
			b = append(appendText(b, key), ':')
			if b, err = appendValue(b, value); err != nil {
				return b, fmt.Errorf("metadata %q: %w", key, err)
			}
			b = append(b, ',')
		}
		b[len(b)-1] = '}'
	}
	return append(b, '}'), nil
}

// appendField appends a field that is left out where it is empty.
func appendField(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return appendText(b, text)
}

func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text) // what is no UTF-8 is replaced, as encoding/json does
	return b
}

// appendValue appends what is common without reflection, and the rest as encoding/json writes it.
func appendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return appendText(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	}
	encoded, err := json.Marshal(value)
	return append(b, encoded...), err
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
