// Package guard judges values by thresholds over time, as alerting rules do: it knows no signals, no
// stages and no clock but the one it is given.
package guard

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
)

// Threshold is what must hold of a value: absolutely, or against a baseline. Immutable.
type Threshold struct {
	text    string
	op      string  // "<", "<=", ">", ">="; "+" or "-" for a threshold against the baseline
	value   float64 // in the signal's unit; a fraction for "+" and "-"
	atLeast float64 // for "+" and "-": what is on the good side of it is never a breach
	floored bool    // atLeast was given
}

var (
	absolute = regexp.MustCompile(`^\s*(<=|>=|<|>)\s*(\S.*?)\s*$`)
	relative = regexp.MustCompile(`^\s*([+-])\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*$`)
)

// ParseThreshold reads "< 5ms", ">= 10000", "+20 %" or "-10 %". Numbers without a unit are in unit
// (UCUM), numbers with one are converted to it. atLeast, a number, bounds a threshold against the baseline.
func ParseThreshold(text, atLeast, unit string) (Threshold, error) {
	if m := relative.FindStringSubmatch(text); m != nil {
		return parseRelative(text, m[1], m[2], atLeast, unit)
	}
	m := absolute.FindStringSubmatch(text)
	if m == nil {
		return Threshold{}, fmt.Errorf(`threshold: %q: must be like "< 5ms", ">= 100", "+20 %%" or "-10 %%"`, text)
	}
	if atLeast != "" {
		return Threshold{}, fmt.Errorf("at_least: %q: is for thresholds against the baseline, not for %q", atLeast, text)
	}
	value, err := parseQuantity(m[2], unit)
	if err != nil {
		return Threshold{}, fmt.Errorf("threshold: %q: %w", text, err)
	}
	return Threshold{text: text, op: m[1], value: value}, nil
}

func parseRelative(text, sign, percent, atLeast, unit string) (Threshold, error) {
	p, err := strconv.ParseFloat(percent, 64)
	if err != nil {
		return Threshold{}, fmt.Errorf("threshold: %q: %w", text, err)
	}
	t := Threshold{text: text, op: sign, value: p / 100}
	if atLeast == "" {
		return t, nil
	}
	if t.atLeast, err = parseQuantity(atLeast, unit); err != nil {
		return Threshold{}, fmt.Errorf("at_least: %q: %w", atLeast, err)
	}
	t.floored = true
	return t, nil
}

// String is the threshold as it was written.
func (t Threshold) String() string { return t.text }

// Relative reports whether the threshold is against a baseline.
func (t Threshold) Relative() bool { return t.op == "+" || t.op == "-" }

// Limit is the value that separates good from bad, given the baseline's (ignored by absolute thresholds).
func (t Threshold) Limit(baseline float64) float64 {
	switch t.op {
	case "+":
		limit := baseline + math.Abs(baseline)*t.value
		if t.floored {
			limit = max(limit, t.atLeast)
		}
		return limit
	case "-":
		limit := baseline - math.Abs(baseline)*t.value
		if t.floored {
			limit = min(limit, t.atLeast)
		}
		return limit
	}
	return t.value
}

// Holds reports whether value is on the good side of limit.
func (t Threshold) Holds(value, limit float64) bool {
	switch t.op {
	case "<":
		return value < limit
	case ">":
		return value > limit
	case "<=", "+":
		return value <= limit
	default: // ">=", "-"
		return value >= limit
	}
}
