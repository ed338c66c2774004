// This file is what the extension knows at one moment: an immutable picture that readers load with one
// atomic operation, so that a change of many flags is seen as a whole or not at all.

package flags

import (
	"maps"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// state is the definitions, the overrides over them, and what both give for this host. It is immutable.
type state struct {
	version     uint64 // rises by one with each state
	at          time.Time
	definitions *flagd.Set
	overrides   map[string]override
	resolved    map[string]flagd.Resolution // of every flag, for this host
	slots       []bool                      // value of the bound flags, by slot

	encode      sync.Once // guards what follows
	static      []entry
	encodedSize int // of all flags, about
}

// enabled is the value of a boolean flag for this host: false where the application's default would hold.
func (s *state) enabled(name string) bool {
	v := s.resolved[name].Variant
	if v == nil {
		return false
	}
	on, _ := v.Value.(bool)
	return on
}

// booleans is the value of every boolean flag.
func (s *state) booleans() map[string]bool {
	values := map[string]bool{}
	for _, f := range s.definitions.Flags {
		if f.Type == flagd.Boolean {
			values[f.Key] = s.enabled(f.Key)
		}
	}
	return values
}

// evaluate resolves a flag for any context: its override, where it has one that fits, else its definition.
func (s *state) evaluate(f *flagd.Flag, c *flagd.Context, now time.Time) flagd.Resolution {
	if o, ok := s.overrides[f.Key]; ok {
		if r, fits := o.resolve(f, c.TargetingKey()); fits {
			return r
		}
	}
	return f.Evaluate(c, now)
}

// Metadata of flags that the extension itself reads. flagd's metadata are strings, numbers and booleans.
const (
	metaDescription = "description" // shown to operators
	metaMigration   = "migration"   // true: emergency rollback sets it false
	metaDependsOn   = "dependsOn"   // keys of flags, separated by commas: on only while they are on
	metaVersion     = "version"
	metaFlagSetID   = "flagSetId"
)

func isMigration(f *flagd.Flag) bool {
	migration, _ := f.Metadata[metaMigration].(bool)
	return migration && f.Type == flagd.Boolean
}

// next builds the state that follows s with other definitions or overrides. slots are the names of the bound flags.
func (s *state) next(definitions *flagd.Set, overrides map[string]override, host *flagd.Context, slots []string, now time.Time) *state {
	n := &state{
		version:     s.version + 1,
		at:          now,
		definitions: definitions,
		overrides:   overrides,
		resolved:    make(map[string]flagd.Resolution, len(definitions.Flags)),
		slots:       make([]bool, len(slots)),
	}
	for _, f := range definitions.Flags {
		n.resolved[f.Key] = n.evaluate(f, host, now)
	}
	for slot, name := range slots {
		n.slots[slot] = n.enabled(name)
	}
	return n
}

// with returns the overrides with some replaced; a nil one is taken away.
func (s *state) with(changes map[string]*override) map[string]override {
	overrides := maps.Clone(s.overrides)
	if overrides == nil {
		overrides = map[string]override{}
	}
	for key, o := range changes {
		if o == nil {
			delete(overrides, key)
		} else {
			overrides[key] = *o
		}
	}
	return overrides
}
