// This file is an override: what an operator, the guard or a rollback set at run time over the definition.

package flags

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// Kinds of overrides.
const (
	kindVariant    = "variant"    // one of the defined variants
	kindValue      = "value"      // a value of the flag's type
	kindPercentage = "percentage" // true for that share of targeting keys
)

// override masks a definition. It is immutable, and stored as JSON.
type override struct {
	Kind       string          `json:"kind"`
	Variant    string          `json:"variant,omitempty"`
	Value      json.RawMessage `json:"value,omitempty"`
	Percentage float64         `json:"percentage,omitempty"`
	By         flag.Author     `json:"by"`
	At         time.Time       `json:"at"`

	value any // Value, decoded
}

// shown is what the override says, as operators see it.
func (o override) shown() any {
	switch o.Kind {
	case kindVariant:
		return o.Variant
	case kindPercentage:
		return o.Percentage
	}
	return o.Value
}

// resolve is what the override makes of f. It does not fit where the definition has changed since:
// the variant is gone, or the type is another.
func (o override) resolve(f *flagd.Flag, targetingKey string) (r flagd.Resolution, fits bool) {
	switch o.Kind {
	case kindVariant:
		v, ok := f.Variant(o.Variant)
		return flagd.Resolution{Variant: v, Reason: flagd.ReasonStatic}, ok
	case kindPercentage:
		if f.Type != flagd.Boolean {
			return flagd.Resolution{}, false
		}
		if targetingKey == "" && o.Percentage > 0 && o.Percentage < 100 {
			return flagd.Failed(flagd.CodeTargetingKeyMissing,
				fmt.Errorf("flag %q is on for %v %% of targeting keys: the context needs a targetingKey", f.Key, o.Percentage)), true
		}
		return flagd.Resolution{
			Variant: booleanVariant(f, within(f.Key, targetingKey, o.Percentage)),
			Reason:  flagd.ReasonSplit,
		}, true
	case kindValue:
		return flagd.Resolution{Variant: valueVariant(f, o.value, o.Value), Reason: flagd.ReasonStatic}, fitsType(f, o.value)
	}
	return flagd.Resolution{}, false
}

// percentageScale is how finely percentages are told apart: 0.001 %.
const percentageScale = 1000

// within says whether a targeting key is among percentage of them. It is flagd's fractional with the
// weights percentage and 100 - percentage: the same keys, and growing the percentage only adds keys.
func within(flagKey, targetingKey string, percentage float64) bool {
	return flagd.Bucket(flagKey+targetingKey, 100*percentageScale) < uint32(math.Round(percentage*percentageScale))
}

// booleanVariant is the variant of f with that value; the default one where it has it.
func booleanVariant(f *flagd.Flag, on bool) *flagd.Variant {
	raw := json.RawMessage("false")
	if on {
		raw = json.RawMessage("true")
	}
	return valueVariant(f, on, raw)
}

// valueVariant is the variant of f that has value; one without a name where there is none.
func valueVariant(f *flagd.Flag, value any, raw json.RawMessage) *flagd.Variant {
	if f.Type != flagd.Object {
		if f.Default != nil && f.Default.Value == value {
			return f.Default
		}
		for i := range f.Variants {
			if f.Variants[i].Value == value {
				return &f.Variants[i]
			}
		}
	}
	return &flagd.Variant{Value: value, Raw: raw}
}

func fitsType(f *flagd.Flag, value any) bool {
	switch value := value.(type) {
	case bool:
		return f.Type == flagd.Boolean
	case string:
		return f.Type == flagd.String
	case float64:
		return f.Type == flagd.Float || f.Type == flagd.Integer && value == math.Trunc(value)
	case map[string]any:
		return f.Type == flagd.Object
	}
	return false
}

// decode sets value after the override was read from JSON.
func (o *override) decode() error {
	if o.Kind != kindValue {
		return nil
	}
	return json.Unmarshal(o.Value, &o.value)
}

// setToVariant is the override that sets f to one of its variants.
func setToVariant(f *flagd.Flag, variant string, by flag.Author, at time.Time) (*override, error) {
	if _, ok := f.Variant(variant); !ok {
		return nil, invalid(fmt.Errorf("flag %q has no variant %.100q: there are %s", f.Key, variant, strings.Join(f.VariantNames(), ", ")))
	}
	return &override{Kind: kindVariant, Variant: variant, By: by, At: at}, nil
}

// setTo is the override that sets f to what was asked for: a variant's name, or a value of its type.
func setTo(f *flagd.Flag, asked json.RawMessage, by flag.Author, at time.Time) (*override, error) {
	var value any
	if err := json.Unmarshal(asked, &value); err != nil {
		return nil, invalid(fmt.Errorf("value of %q is not JSON: %w", f.Key, err))
	}
	if name, ok := value.(string); ok {
		if _, ok := f.Variant(name); ok {
			return setToVariant(f, name, by, at)
		}
	}
	if !fitsType(f, value) {
		return nil, invalid(fmt.Errorf("flag %q is of type %s, %.100s is not: give one of the variants (%s) or a value of that type",
			f.Key, f.Type, asked, strings.Join(f.VariantNames(), ", ")))
	}
	return &override{Kind: kindValue, Value: bytes.Clone(asked), value: value, By: by, At: at}, nil
}

func setBoolean(on bool, by flag.Author, at time.Time) *override {
	raw := json.RawMessage("false")
	if on {
		raw = json.RawMessage("true")
	}
	return &override{Kind: kindValue, Value: raw, value: on, By: by, At: at}
}

func setPercentage(percentage float64, by flag.Author, at time.Time) (*override, error) {
	if !(percentage >= 0 && percentage <= 100) { // NaN is neither
		return nil, invalid(fmt.Errorf("percentage is %v, allowed are 0 to 100", percentage))
	}
	return &override{Kind: kindPercentage, Percentage: percentage, By: by, At: at}, nil
}
