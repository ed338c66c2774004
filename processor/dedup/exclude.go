// This file reads the paths of dedup::exclude: the fields that do not belong to an event's identity.

package dedup

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// excluded is a tree of field names. A nil tree excludes nothing.
type excluded struct {
	whole    bool // this field and all in it
	children map[string]*excluded
}

// compileExclude returns the trees of attributes and body.
func compileExclude(paths []string) (attributes, body *excluded, err error) {
	for i, path := range paths {
		parts := splitPath(path)
		if len(parts) < 2 || parts[0] != "attributes" && parts[0] != "body" || hasEmpty(parts) {
			return nil, nil, fmt.Errorf("dedup::exclude[%d]: %q is neither attributes.<name> nor body.<name>", i, path)
		}
		if parts[0] == "attributes" {
			attributes = attributes.add(parts[1:])
		} else {
			body = body.add(parts[1:])
		}
	}
	return attributes, body, nil
}

// splitPath splits at each "." that no "\" escapes.
func splitPath(path string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && path[i+1] == '.':
			part.WriteByte('.')
			i++
		case path[i] == '.':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(path[i])
		}
	}
	return append(parts, part.String())
}

func hasEmpty(parts []string) bool {
	for _, p := range parts {
		if p == "" {
			return true
		}
	}
	return false
}

func (e *excluded) add(path []string) *excluded {
	if e == nil {
		e = &excluded{children: map[string]*excluded{}}
	}
	if len(path) == 0 {
		e.whole = true
		return e
	}
	e.children[path[0]] = e.children[path[0]].add(path[1:])
	return e
}

// child is the tree below name, and whether name is excluded whole.
func (e *excluded) child(name string) (below *excluded, whole bool) {
	if e == nil {
		return nil, false
	}
	below = e.children[name]
	return below, below != nil && below.whole
}

// removeFrom removes the excluded fields of m.
func (e *excluded) removeFrom(m pcommon.Map) {
	if e == nil {
		return
	}
	m.RemoveIf(func(name string, v pcommon.Value) bool {
		below, whole := e.child(name)
		if !whole && below != nil && v.Type() == pcommon.ValueTypeMap {
			below.removeFrom(v.Map())
		}
		return whole
	})
}
