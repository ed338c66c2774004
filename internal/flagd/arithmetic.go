// This file is the arithmetic of JSONLogic. The library's fails where the context holds nothing or a
// boolean; here nothing counts as zero, and what is no number makes the result nil.

package flagd

import (
	"math"
	"strconv"
	"strings"
)

// number is v as JavaScript's Number() has it; NaN where it is none.
func number(v any) float64 {
	switch v := v.(type) {
	case nil:
		return 0
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
		return 0
	case string:
		if v = strings.TrimSpace(v); v == "" {
			return 0
		}
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return n
		}
	}
	return math.NaN()
}

func numbers(values any) []float64 {
	args := arguments(values)
	all := make([]float64, len(args))
	for i := range args {
		all[i] = number(args[i])
	}
	return all
}

// finite is n, or nil where it is no number that JSON has.
func finite(n float64) any {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return nil
	}
	return n
}

// fold applies op from left to right.
func fold(all []float64, op func(a, b float64) float64) any {
	if len(all) == 0 {
		return nil
	}
	result := all[0]
	for _, n := range all[1:] {
		result = op(result, n)
	}
	return finite(result)
}

func sum(values, _ any) any {
	return fold(append([]float64{0}, numbers(values)...), func(a, b float64) float64 { return a + b })
}

func minus(values, _ any) any {
	all := numbers(values)
	if len(all) == 1 {
		return finite(-all[0])
	}
	return fold(all, func(a, b float64) float64 { return a - b })
}

func times(values, _ any) any {
	return fold(numbers(values), func(a, b float64) float64 { return a * b })
}

func over(values, _ any) any {
	return fold(numbers(values), func(a, b float64) float64 { return a / b })
}

func modulo(values, _ any) any { return fold(numbers(values), math.Mod) }

func greatest(values, _ any) any { return fold(numbers(values), math.Max) }

func least(values, _ any) any { return fold(numbers(values), math.Min) }

// substr is a part of a text, from a start (from the end where negative) and, where given, of a length
// (up to that many before the end where negative).
func substr(values, _ any) any {
	args := arguments(values)
	if len(args) == 0 {
		return nil
	}
	text := []rune(textOf(args[0]))
	from, to := 0, len(text)
	if len(args) > 1 {
		from = clamp(args[1], len(text))
		if from < 0 {
			from += len(text)
		}
	}
	if len(args) > 2 {
		if length := clamp(args[2], len(text)); length < 0 {
			to += length
		} else {
			to = min(to, from+length)
		}
	}
	return string(text[from:max(from, to)])
}

// clamp keeps a number within what a text of that length can be cut at; what is no number is 0.
func clamp(v any, length int) int {
	n := number(v)
	if math.IsNaN(n) {
		return 0
	}
	return int(min(max(n, -float64(length)), float64(length)))
}
