// This file has flagd's own operations, and those of JSONLogic where the library's departs from the
// reference implementation (https://jsonlogic.com/operations.html) on data that contexts really hold.

package flagd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/diegoholiveira/jsonlogic/v3"
	"github.com/twmb/murmur3"
	"golang.org/x/mod/semver"
)

// operators are the operations that rules may use. Those with a function are added to the library.
// Every function is total: it takes whatever a context holds and returns nil where that has no meaning.
var operators = map[string]jsonlogic.OperatorFn{
	"fractional":  fractional,
	"sem_ver":     semVer,
	"starts_with": func(values, _ any) any { return compareStrings(values, strings.HasPrefix) },
	"ends_with":   func(values, _ any) any { return compareStrings(values, strings.HasSuffix) },

	"and": and,
	"or":  or,
	"cat": cat,
	"in":  in,
	"var": variable,

	"missing": nil, "missing_some": nil, "if": nil, "?:": nil,
	"==": nil, "===": nil, "!=": nil, "!==": nil, "!": nil, "!!": nil,
	">": nil, ">=": nil, "<": nil, "<=": nil, "max": nil, "min": nil,
	"+": nil, "-": nil, "*": nil, "/": nil, "%": nil,
	"map": nil, "filter": nil, "reduce": nil, "all": nil, "none": nil, "some": nil,
	"merge": nil, "substr": nil,
}

// register adds the operators to the library, whose registry is the process's.
var register = sync.OnceFunc(func() {
	for name, fn := range operators {
		if fn != nil {
			jsonlogic.AddOperator(name, fn)
		}
	}
})

func known(operator string) bool {
	_, ok := operators[operator]
	return ok
}

// maxWeight is the greatest sum of weights: flagd's providers agree on what fits a signed 32-bit integer.
const maxWeight = math.MaxInt32

// fractional is flagd's operation of that name: values are what to bucket by (a string; else the flag's
// key and the targeting key, put together) and the buckets, each a variant and its weight (1 if absent).
func fractional(values, data any) any {
	buckets, ok := values.([]any)
	if !ok || len(buckets) == 0 {
		return nil
	}
	bucketBy, ok := buckets[0].(string)
	if ok {
		buckets = buckets[1:]
	} else if bucketBy, ok = defaultBucketing(data); !ok {
		return nil
	}
	distribution, total, err := parseBuckets(buckets)
	if err != nil {
		return nil
	}
	return distribution.at(Bucket(bucketBy, total))
}

func defaultBucketing(data any) (string, bool) {
	context, _ := data.(map[string]any)
	properties, _ := context[flagdKey].(map[string]any)
	flagKey, _ := properties[flagKeyKey].(string)
	targetingKey, _ := context[targetingKeyKey].(string)
	return flagKey + targetingKey, targetingKey != ""
}

// Bucket maps key to a number below total, which is at most 2^31-1: the 32-bit x86 MurmurHash3 of key,
// seed 0, scaled in whole numbers (flagd's high-precision fractional bucketing, flagd v0.15 and its peers).
func Bucket(key string, total uint32) uint32 {
	return uint32(uint64(murmur3.StringSum32(key)) * uint64(total) >> 32)
}

type bucket struct {
	variant any // string, number, boolean or nil
	weight  uint32
}

type distribution []bucket

// at returns the variant whose range of weights point lies in.
func (d distribution) at(point uint32) any {
	var end uint32
	for _, b := range d {
		if end += b.weight; point < end {
			return b.variant
		}
	}
	return nil // the weights are all zero
}

func parseBuckets(written []any) (distribution, uint32, error) {
	d := make(distribution, len(written))
	var total int64
	for i := range written {
		b, err := parseBucket(written[i])
		if err != nil {
			return nil, 0, err
		}
		if total += int64(b.weight); total > maxWeight {
			return nil, 0, fmt.Errorf("the weights add up to more than %d", maxWeight)
		}
		d[i] = b
	}
	return d, uint32(total), nil
}

func parseBucket(written any) (bucket, error) {
	parts, ok := written.([]any)
	if !ok || len(parts) == 0 || len(parts) > 2 {
		return bucket{}, errors.New("a bucket is an array of a variant and a weight")
	}
	b := bucket{variant: parts[0], weight: 1}
	switch b.variant.(type) {
	case nil, string, bool, float64, int:
	default:
		return bucket{}, errors.New("a variant is a string, number or boolean")
	}
	if len(parts) == 2 {
		weight, ok := parts[1].(float64)
		if !ok || weight != math.Trunc(weight) || weight > maxWeight {
			return bucket{}, fmt.Errorf("a weight is a whole number of at most %d", maxWeight)
		}
		// A rollout that computes its weights may go below zero: that is nobody yet.
		b.weight = uint32(max(0, weight))
	}
	return b, nil
}

// semVer is flagd's operation sem_ver: a version, an operator, and the version to compare with.
func semVer(values, _ any) any {
	args, ok := values.([]any)
	if !ok || len(args) != 3 {
		return nil
	}
	version, ok1 := canonicalVersion(args[0])
	target, ok2 := canonicalVersion(args[2])
	if !ok1 || !ok2 {
		return nil
	}
	order := semver.Compare(version, target)
	switch args[1] {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "^":
		return semver.Major(version) == semver.Major(target)
	case "~":
		return semver.MajorMinor(version) == semver.MajorMinor(target)
	}
	return nil
}

// canonicalVersion returns the version with one "v" in front, as x/mod/semver wants it. "1" and "1.2" are versions.
func canonicalVersion(v any) (string, bool) {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case float64:
		s = formatNumber(v)
	default:
		return "", false
	}
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		s = s[1:]
	}
	s = "v" + s
	return s, semver.IsValid(s)
}

func compareStrings(values any, compare func(s, part string) bool) any {
	args, ok := values.([]any)
	if !ok || len(args) != 2 {
		return nil
	}
	s, ok1 := args[0].(string)
	part, ok2 := args[1].(string)
	if !ok1 || !ok2 {
		return nil
	}
	return compare(s, part)
}

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
		switch arg := arg.(type) {
		case string:
			s.WriteString(arg)
		case bool:
			s.WriteString(strconv.FormatBool(arg))
		case float64:
			s.WriteString(formatNumber(arg))
		}
	}
	return s.String()
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
