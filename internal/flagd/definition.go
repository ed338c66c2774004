// Package flagd reads flag definitions in flagd's format and evaluates them as flagd does, so that an
// application that evaluates the same file in process gets the same variant for every targeting key.
//
// Sources: flagd's schemas (https://flagd.dev/schema/v0/flags.json and targeting.json), its
// specifications of the custom operations (https://flagd.dev/reference/specifications/), and its
// in-process providers. Rules are JSONLogic (https://jsonlogic.com).
package flagd

import (
	"encoding/json"
	"slices"
)

// Type of a flag's values, as the operators' API names it.
type Type string

// The types of flags.
const (
	Boolean Type = "boolean"
	String  Type = "string"
	Integer Type = "integer"
	Float   Type = "float"
	Object  Type = "object"
)

// Variant is one value that a flag can take.
type Variant struct {
	Name  string
	Value any             // bool, string, float64 or map[string]any
	Raw   json.RawMessage // the value as written, so that no digit is lost on the way to a client
}

// Flag is one definition. It is immutable.
type Flag struct {
	Key      string
	Type     Type
	Disabled bool
	// Default is served where targeting does not decide; nil where the application's own default holds.
	Default  *Variant
	Variants []Variant      // sorted by name
	Metadata map[string]any // the flag set's, with the flag's own over it
	Source   string         // the file

	rule *rule // nil without targeting
}

// Variant returns the variant of that name.
func (f *Flag) Variant(name string) (*Variant, bool) {
	i, ok := slices.BinarySearchFunc(f.Variants, name, func(v Variant, name string) int {
		switch {
		case v.Name < name:
			return -1
		case v.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return nil, false
	}
	return &f.Variants[i], true
}

// VariantNames returns the names of the variants, sorted.
func (f *Flag) VariantNames() []string {
	names := make([]string, len(f.Variants))
	for i := range f.Variants {
		names[i] = f.Variants[i].Name
	}
	return names
}

// HasTargeting says that the flag may evaluate to something else for another context.
func (f *Flag) HasTargeting() bool { return !f.Disabled && f.rule != nil }

// UsesTime says that targeting reads $flagd.timestamp: its result may change while nothing else does.
func (f *Flag) UsesTime() bool { return f.rule != nil && f.rule.usesTime }

// RuleError is why targeting can never be evaluated (an unknown operator, a $ref to nothing), nil
// where it can. Such a flag answers PARSE_ERROR; the other flags of its file are sound.
func (f *Flag) RuleError() error {
	if f.rule == nil {
		return nil
	}
	return f.rule.err
}

// Set is the flags of one or several files. It is immutable.
type Set struct {
	Flags    []*Flag        // sorted by key
	Metadata map[string]any // of the flag sets; where several files say the same, the last

	byKey map[string]*Flag
}

// Flag returns the flag of that key.
func (s *Set) Flag(key string) (*Flag, bool) {
	f, ok := s.byKey[key]
	return f, ok
}

// Keys returns the keys of all flags, sorted.
func (s *Set) Keys() []string {
	keys := make([]string, len(s.Flags))
	for i, f := range s.Flags {
		keys[i] = f.Key
	}
	return keys
}

// Merge puts sets together. Where two define the same flag, the later one's holds, as in flagd.
func Merge(sets ...*Set) *Set {
	merged := &Set{Metadata: map[string]any{}, byKey: map[string]*Flag{}}
	for _, s := range sets {
		for key, value := range s.Metadata {
			merged.Metadata[key] = value
		}
		for key, f := range s.byKey {
			merged.byKey[key] = f
		}
	}
	for _, f := range merged.byKey {
		merged.Flags = append(merged.Flags, f)
	}
	slices.SortFunc(merged.Flags, func(a, b *Flag) int {
		if a.Key < b.Key {
			return -1
		}
		return 1 // keys are unique
	})
	return merged
}
