// This file turns targeting as written into a rule that is ready to be applied: shared evaluators
// are put in their places, and rules that could cost too much are refused.

package flagd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// rule is targeting, ready to be applied.
type rule struct {
	logic    any // JSONLogic as encoding/json decodes it
	usesTime bool
	err      error // why it can never be evaluated
}

// Bounds of one rule, with its shared evaluators in place.
const (
	maxRuleDepth = 100   // nested objects and arrays
	maxRuleNodes = 5_000 // values
)

// expander puts shared evaluators where rules refer to them.
type expander struct {
	evaluators map[string]any
}

func newExpander(written map[string]json.RawMessage) (*expander, error) {
	e := &expander{evaluators: make(map[string]any, len(written))}
	for name, raw := range written {
		var logic any
		if err := json.Unmarshal(raw, &logic); err != nil {
			return nil, fmt.Errorf("$evaluators: %q: %w", name, err)
		}
		e.evaluators[name] = logic
	}
	return e, nil
}

// compile returns the rule of a flag, nil where there is none. An error means that the rule is
// too costly to be loaded; what merely cannot be evaluated is kept in the rule, as flagd does.
func (e *expander) compile(written json.RawMessage) (*rule, error) {
	if len(written) == 0 {
		return nil, nil
	}
	var logic any
	if err := json.Unmarshal(written, &logic); err != nil {
		return nil, err
	}
	if logic == nil {
		return nil, nil
	}
	object, ok := logic.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("is %T, it must be an object", logic)
	}
	if len(object) == 0 {
		return nil, nil
	}
	x := expansion{evaluators: e.evaluators}
	logic, err := x.expand(logic, 0, nil)
	if err != nil {
		return nil, err
	}
	r := &rule{logic: logic, usesTime: x.usesTime, err: x.unknown}
	if r.err == nil {
		if err := checkCost(logic); err != nil {
			return nil, err
		}
		localize(logic, false)
	}
	return r, nil
}

// localVar is var where it means the element that is iterated. The library would look into the whole
// context first, where an attribute of the same name may be.
const localVar = "$var"

// localize puts localVar into the bodies of iterations, in place.
func localize(logic any, inBody bool) {
	switch logic := logic.(type) {
	case []any:
		for _, element := range logic {
			localize(element, inBody)
		}
	case map[string]any:
		for operator, arguments := range logic {
			switch operator {
			case "some", "all", "none", "filter", "map", "reduce":
				if list, ok := arguments.([]any); ok && len(list) > 1 {
					localize(list[0], inBody)
					localize(list[1], true)
					localize(list[2:], inBody)
					continue
				}
			case "var":
				if inBody {
					delete(logic, operator)
					logic[localVar] = arguments
				}
			}
			localize(arguments, inBody)
		}
	}
}

// expansion is one walk over one rule.
type expansion struct {
	evaluators map[string]any
	nodes      int
	usesTime   bool
	unknown    error // the first operator or reference that nobody knows
}

// expand copies logic with references replaced. through are the evaluators that it is within.
func (x *expansion) expand(logic any, depth int, through []string) (any, error) {
	if x.nodes++; x.nodes > maxRuleNodes {
		return nil, fmt.Errorf("the rule has more than %d values, with $evaluators in place", maxRuleNodes)
	}
	if depth > maxRuleDepth {
		return nil, fmt.Errorf("the rule is nested deeper than %d, with $evaluators in place", maxRuleDepth)
	}
	switch logic := logic.(type) {
	case []any:
		out := make([]any, len(logic))
		for i := range logic {
			var err error
			if out[i], err = x.expand(logic[i], depth+1, through); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		if name, ok := reference(logic); ok {
			return x.refer(name, depth, through)
		}
		if len(logic) > 1 {
			x.unknown = errors.Join(x.unknown, fmt.Errorf("an operation with %d operators", len(logic)))
		}
		out := make(map[string]any, len(logic))
		for operator, arguments := range logic {
			if !known(operator) {
				x.unknown = errors.Join(x.unknown, fmt.Errorf("unknown operator %q", operator))
			}
			var err error
			if out[operator], err = x.expand(arguments, depth+1, through); err != nil {
				return nil, err
			}
		}
		return out, nil
	case string:
		x.usesTime = x.usesTime || strings.Contains(logic, timestampPath)
	}
	return logic, nil
}

func (x *expansion) refer(name string, depth int, through []string) (any, error) {
	for _, outer := range through {
		if outer == name {
			return nil, fmt.Errorf("$evaluators %s refer to themselves", strings.Join(append(through, name), " > "))
		}
	}
	shared, ok := x.evaluators[name]
	if !ok {
		x.unknown = errors.Join(x.unknown, fmt.Errorf("$ref to %q, which $evaluators does not define", name))
		return nil, nil
	}
	return x.expand(shared, depth, append(through[:len(through):len(through)], name))
}

func reference(logic map[string]any) (name string, ok bool) {
	if len(logic) != 1 {
		return "", false
	}
	name, ok = logic["$ref"].(string)
	return name, ok
}
