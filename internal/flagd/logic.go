// This file is operations of JSONLogic (https://jsonlogic.com/operations.html) where the library's
// depart from the reference, or fail on data that contexts really hold.

package flagd

import (
	"math"
	"strconv"
	"strings"
)

// and returns the first argument that is not true, else the last. (The library returns true, or the
// greatest number.)
func and(values, _ any) any {
	args := arguments(values)
	for _, arg := range args {
		if !truthy(arg) {
			return arg
		}
	}
	return last(args)
}

// or returns the first argument that is true, else the last. (The library returns false for the last.)
func or(values, _ any) any {
	args := arguments(values)
	for _, arg := range args {
		if truthy(arg) {
			return arg
		}
	}
	return last(args)
}

// cat joins its arguments. (The library trims spaces, which would put a key into another bucket, and
// fails on booleans.)
func cat(values, _ any) any {
	var s strings.Builder
	for _, arg := range arguments(values) {
		s.WriteString(textOf(arg))
	}
	return s.String()
}

// textOf is a string, number or boolean as text; of anything else, none.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return formatNumber(v)
	}
	return ""
}

// in says whether a string holds another, or an array an element. (The library fails where the
// context holds a number or nothing, and takes an array within the array for a range.)
func in(values, _ any) any {
	args := arguments(values)
	if len(args) < 2 {
		return false
	}
	switch whole := args[1].(type) {
	case string:
		part, ok := args[0].(string)
		return ok && strings.Contains(whole, part)
	case []any:
		for _, element := range whole {
			if same(element, args[0]) {
				return true
			}
		}
	}
	return false
}

// variable returns what a path of the data leads to, else the default. (The library fails on an index
// beyond an array.)
func variable(values, data any) any {
	args := arguments(values)
	if len(args) == 0 || args[0] == nil {
		return data
	}
	path, ok := args[0].(string)
	if number, isNumber := args[0].(float64); isNumber {
		path, ok = formatNumber(number), true
	}
	if !ok {
		return nil
	}
	at := data
	for part := range strings.SplitSeq(path, ".") {
		if part != "" {
			at = member(at, part)
		}
	}
	if at == nil && len(args) > 1 {
		return args[1]
	}
	return at
}

func member(of any, name string) any {
	switch of := of.(type) {
	case map[string]any:
		return of[name]
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(of) {
			return of[i]
		}
	}
	return nil
}

func same(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && a == b
	case float64:
		b, ok := b.(float64)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	case nil:
		return b == nil
	}
	return false // arrays and objects are the same in place only
}

func arguments(values any) []any {
	if args, ok := values.([]any); ok {
		return args
	}
	return []any{values}
}

func last(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[len(args)-1]
}

// truthy as JSONLogic has it: an empty array is not.
func truthy(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0 && !math.IsNaN(v)
	case []any:
		return len(v) > 0
	case nil:
		return false
	}
	return true
}

// formatNumber writes a number as JavaScript does for all that is smaller than 1e21.
func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
