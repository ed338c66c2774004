// This file reads evaluation contexts: data from outside, bounded, and never taken for logic.

package flagd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// Bounds of a context.
const (
	MaxContextBytes = 32 << 10
	maxContextDepth = 16
	maxContextArray = 1_000 // elements
)

// Names that flagd gives to what it adds to a context (https://flagd.dev/reference/flag-definitions/).
const (
	targetingKeyKey = "targetingKey"
	flagdKey        = "$flagd"
	flagKeyKey      = "flagKey"
	timestampKey    = "timestamp"
	timestampPath   = flagdKey + "." + timestampKey
)

// Context is what a flag is evaluated for. It is used by one goroutine at a time.
type Context struct {
	data  map[string]any
	flagd map[string]any // data's own "$flagd"
}

// NewContext reads a context, a JSON object ("" and null are empty ones).
func NewContext(written json.RawMessage) (*Context, error) {
	if len(written) > MaxContextBytes {
		return nil, fmt.Errorf("the context has %d bytes, the limit is %d", len(written), MaxContextBytes)
	}
	data := map[string]any{}
	if written = bytes.TrimSpace(written); len(written) > 0 {
		if written[0] != '{' && !bytes.Equal(written, []byte("null")) {
			return nil, errors.New("the context must be an object")
		}
		if err := json.Unmarshal(written, &data); err != nil {
			return nil, fmt.Errorf("context: %w", err)
		}
	}
	if key, ok := data[targetingKeyKey]; ok {
		if _, isString := key.(string); !isString && key != nil {
			return nil, errors.New("targetingKey must be a string")
		}
	}
	for _, value := range data {
		if err := neutralize(value, 1); err != nil {
			return nil, err
		}
	}
	return contextOf(data), nil
}

// KeyContext is the context of a targeting key alone.
func KeyContext(targetingKey string) *Context {
	return contextOf(map[string]any{targetingKeyKey: targetingKey})
}

func contextOf(data map[string]any) *Context {
	if data == nil { // it was null
		data = map[string]any{}
	}
	c := &Context{data: maps.Clone(data), flagd: map[string]any{}}
	c.data[flagdKey] = c.flagd
	return c
}

// TargetingKey is whom the flag is evaluated for, "" where the context does not say.
func (c *Context) TargetingKey() string {
	key, _ := c.data[targetingKeyKey].(string)
	return key
}

// neutralize checks the bounds of a value and makes sure that the library can never apply it as a
// rule: it takes an object of exactly one key for an operation, also when it came from the data.
func neutralize(value any, depth int) error {
	if depth > maxContextDepth {
		return fmt.Errorf("the context is nested deeper than %d", maxContextDepth)
	}
	switch value := value.(type) {
	case []any:
		if len(value) > maxContextArray {
			return fmt.Errorf("the context has an array of %d elements, the limit is %d", len(value), maxContextArray)
		}
		for _, element := range value {
			if err := neutralize(element, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, element := range value {
			if err := neutralize(element, depth+1); err != nil {
				return err
			}
		}
		delete(value, "") // no path of var can name it
		if len(value) == 1 {
			value[""] = nil
		}
	}
	return nil
}
