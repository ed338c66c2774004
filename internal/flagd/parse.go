// This file reads a definition file: JSON, or YAML of the same shape.

package flagd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of what is loaded. A file beyond them is refused as a whole.
const (
	MaxFileBytes = 8 << 20
	maxFlags     = 10_000
	maxVariants  = 1_000
	maxKeyBytes  = 256
)

// document is a definition file as written.
type document struct {
	Flags      json.RawMessage            `json:"flags"`
	Evaluators map[string]json.RawMessage `json:"$evaluators"`
	Metadata   map[string]any             `json:"metadata"`
}

// definition is a flag as written.
type definition struct {
	Key            string                     `json:"key"` // where flags are an array
	State          string                     `json:"state"`
	DefaultVariant *string                    `json:"defaultVariant"`
	Variants       map[string]json.RawMessage `json:"variants"`
	Targeting      json.RawMessage            `json:"targeting"`
	Metadata       map[string]any             `json:"metadata"`
}

// Parse reads the definitions of source (a file's path: .yaml and .yml are YAML, all else is JSON).
// An error names the flag and what was wrong with it.
func Parse(source string, data []byte) (*Set, error) {
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(data), MaxFileBytes)
	}
	if ext := strings.ToLower(filepath.Ext(source)); ext == ".yaml" || ext == ".yml" {
		var err error
		if data, err = yamlToJSON(data); err != nil {
			return nil, err
		}
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("not a flag definition: %w", err)
	}
	definitions, err := doc.definitions()
	if err != nil {
		return nil, err
	}
	if len(definitions) > maxFlags {
		return nil, fmt.Errorf("%d flags, the limit is %d", len(definitions), maxFlags)
	}
	if err := checkMetadata(doc.Metadata); err != nil {
		return nil, fmt.Errorf("metadata of the flag set: %w", err)
	}
	expander, err := newExpander(doc.Evaluators)
	if err != nil {
		return nil, err
	}
	set := &Set{Metadata: doc.Metadata, byKey: make(map[string]*Flag, len(definitions))}
	for key, d := range definitions {
		f, err := d.flag(key, source, doc.Metadata, expander)
		if err != nil {
			return nil, fmt.Errorf("flag %q: %w", key, err)
		}
		set.byKey[key] = f
	}
	return Merge(set), nil
}

// definitions are keyed by the flag's key. flagd takes an object, or an array of flags with a key.
func (doc *document) definitions() (map[string]definition, error) {
	flags := bytes.TrimSpace(doc.Flags)
	if len(flags) == 0 || bytes.Equal(flags, []byte("null")) {
		return nil, errors.New(`"flags" is missing`)
	}
	byKey := map[string]definition{}
	if flags[0] != '[' {
		if err := json.Unmarshal(flags, &byKey); err != nil {
			return nil, fmt.Errorf("flags: %w", err)
		}
		return byKey, nil
	}
	var list []definition
	if err := json.Unmarshal(flags, &list); err != nil {
		return nil, fmt.Errorf("flags: %w", err)
	}
	for i, d := range list {
		if d.Key == "" {
			return nil, fmt.Errorf("flags[%d]: \"key\" is missing", i)
		}
		if _, twice := byKey[d.Key]; twice {
			return nil, fmt.Errorf("flag %q is defined twice", d.Key)
		}
		byKey[d.Key] = d
	}
	return byKey, nil
}

func (d definition) flag(key, source string, setMetadata map[string]any, expander *expander) (*Flag, error) {
	if key == "" || len(key) > maxKeyBytes || !utf8.ValidString(key) {
		return nil, fmt.Errorf("a key is 1 to %d bytes of UTF-8", maxKeyBytes)
	}
	if d.State != "ENABLED" && d.State != "DISABLED" {
		return nil, fmt.Errorf("state is %q, allowed are ENABLED and DISABLED", d.State)
	}
	if err := checkMetadata(d.Metadata); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	f := &Flag{Key: key, Disabled: d.State == "DISABLED", Source: source}
	f.Metadata = make(map[string]any, len(setMetadata)+len(d.Metadata))
	maps.Copy(f.Metadata, setMetadata)
	maps.Copy(f.Metadata, d.Metadata)
	var err error
	if f.Variants, f.Type, err = parseVariants(d.Variants); err != nil {
		return nil, err
	}
	if d.DefaultVariant != nil && *d.DefaultVariant != "" {
		v, ok := f.Variant(*d.DefaultVariant)
		if !ok {
			return nil, fmt.Errorf("defaultVariant is %q, the variants are %s",
				*d.DefaultVariant, strings.Join(f.VariantNames(), ", "))
		}
		f.Default = v
	}
	if f.rule, err = expander.compile(d.Targeting); err != nil {
		return nil, fmt.Errorf("targeting: %w", err)
	}
	return f, nil
}

// parseVariants returns variants sorted by name, and the one type that all their values must have.
func parseVariants(written map[string]json.RawMessage) ([]Variant, Type, error) {
	if len(written) == 0 || len(written) > maxVariants {
		return nil, "", fmt.Errorf("%d variants, allowed are 1 to %d", len(written), maxVariants)
	}
	var all Type
	variants := make([]Variant, 0, len(written))
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if name == "" {
			return nil, "", errors.New("a variant has no name")
		}
		v := Variant{Name: name, Raw: written[name]}
		if err := json.Unmarshal(v.Raw, &v.Value); err != nil {
			return nil, "", fmt.Errorf("variant %q: %w", name, err)
		}
		t := typeOf(v)
		switch {
		case t == "":
			return nil, "", fmt.Errorf("variant %q is %s: values are boolean, string, number or object", name, v.Raw)
		case all == "" || all == Integer && t == Float:
			all = t
		case all == Float && t == Integer:
		case all != t:
			return nil, "", fmt.Errorf("variant %q is of type %s, others are %s: all values must be of one type", name, t, all)
		}
		variants = append(variants, v)
	}
	return variants, all, nil
}

func typeOf(v Variant) Type {
	switch v.Value.(type) {
	case bool:
		return Boolean
	case string:
		return String
	case float64:
		if bytes.ContainsAny(v.Raw, ".eE") {
			return Float
		}
		return Integer
	case map[string]any:
		return Object
	}
	return ""
}

func checkMetadata(metadata map[string]any) error {
	for key, value := range metadata {
		switch value.(type) {
		case string, float64, bool:
		default:
			return fmt.Errorf("%q is %T: values are strings, numbers or booleans", key, value)
		}
	}
	return nil
}

// yamlToJSON converts YAML to the JSON of the same shape. The YAML package bounds what aliases expand to.
func yamlToJSON(data []byte) ([]byte, error) {
	var doc any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	out, err := json.Marshal(stringKeys(doc))
	if err != nil {
		return nil, fmt.Errorf("YAML that has no JSON form: %w", err)
	}
	return out, nil
}

// stringKeys makes strings of keys that YAML reads as something else: a variant named true, or 1.
func stringKeys(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = stringKeys(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = stringKeys(v[key])
		}
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[fmt.Sprint(key)] = stringKeys(value)
		}
		return m
	}
	return v
}
