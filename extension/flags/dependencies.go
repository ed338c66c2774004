// This file is dependencies between flags: a flag is on only while those that it depends on are.

package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// dependsOn are the flags that f depends on, as its metadata say.
func dependsOn(f *flagd.Flag) []string {
	listed, _ := f.Metadata[metaDependsOn].(string)
	return strings.FieldsFunc(listed, func(r rune) bool { return r == ',' || r == ' ' })
}

// checkDependencies refuses definitions whose dependencies lead nowhere or in a circle.
func checkDependencies(set *flagd.Set) error {
	var errs []error
	for _, f := range set.Flags {
		for _, name := range dependsOn(f) {
			if on, ok := set.Flag(name); !ok || on.Type != flagd.Boolean {
				errs = append(errs, fmt.Errorf("flag %q depends on %q, which is no boolean flag", f.Key, name))
			}
		}
	}
	sound := map[string]bool{}
	for _, f := range set.Flags {
		if circle := circleFrom(set, f, nil, sound); circle != nil {
			return errors.Join(append(errs, fmt.Errorf("flags depend on each other in a circle: %s", strings.Join(circle, " > ")))...)
		}
	}
	return errors.Join(errs...)
}

// circleFrom follows dependencies until one is met twice on a path. sound are the flags from which none is.
func circleFrom(set *flagd.Set, f *flagd.Flag, path []string, sound map[string]bool) []string {
	if sound[f.Key] {
		return nil
	}
	if at := slices.Index(path, f.Key); at >= 0 {
		return append(path[at:], f.Key)
	}
	path = append(slices.Clone(path), f.Key)
	for _, name := range dependsOn(f) {
		if on, ok := set.Flag(name); ok {
			if circle := circleFrom(set, on, path, sound); circle != nil {
				return circle
			}
		}
	}
	sound[f.Key] = true
	return nil
}

// withDependants builds the state after changes. It refuses to turn a flag on while one that it
// depends on is off, and turns off what depends on a flag that is turned off.
func (e *flagsExtension) withDependants(s *state, changes map[string]*override, by flag.Author, at time.Time) (*state, error) {
	asked := make(map[string]bool, len(changes))
	for name := range changes {
		asked[name] = true
	}
	for {
		n := s.next(s.definitions, s.with(changes), e.host, e.bound, at)
		settled := true
		for _, f := range n.definitions.Flags {
			off := unmet(n, f)
			if len(off) == 0 {
				continue
			}
			if asked[f.Key] {
				return nil, unmetDependencies(f, off)
			}
			if slices.ContainsFunc(off, func(name string) bool { return s.enabled(name) }) {
				reason := fmt.Sprintf("depends on %s: %s", strings.Join(off, ", "), by.Reason)
				changes[f.Key] = setBoolean(false, flag.Author{Name: by.Name, Reason: reason}, at)
				settled = false
			}
		}
		if settled {
			return n, nil
		}
	}
}

// unmet are the flags that f depends on and that are off while f is on, be it for some targeting keys.
func unmet(s *state, f *flagd.Flag) []string {
	if f.Type != flagd.Boolean || !s.enabled(f.Key) && s.overrides[f.Key].Percentage == 0 {
		return nil
	}
	return slices.DeleteFunc(dependsOn(f), s.enabled)
}
