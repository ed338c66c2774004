// This file evaluates a flag as OpenFeature describes the result: value, variant, reason, error.

package flagd

import (
	"fmt"
	"strconv"
	"time"

	"github.com/diegoholiveira/jsonlogic/v3"
)

// Reasons of a resolution (https://openfeature.dev/specification/types#resolution-reason).
const (
	ReasonStatic         = "STATIC"
	ReasonTargetingMatch = "TARGETING_MATCH"
	ReasonSplit          = "SPLIT"
	ReasonDefault        = "DEFAULT"
	ReasonDisabled       = "DISABLED"
	ReasonError          = "ERROR"
)

// Error codes of a resolution (https://openfeature.dev/specification/types#error-code).
const (
	CodeFlagNotFound        = "FLAG_NOT_FOUND"
	CodeParseError          = "PARSE_ERROR"
	CodeTypeMismatch        = "TYPE_MISMATCH"
	CodeTargetingKeyMissing = "TARGETING_KEY_MISSING"
	CodeInvalidContext      = "INVALID_CONTEXT"
	CodeGeneral             = "GENERAL"
)

// Resolution is what a flag evaluates to.
type Resolution struct {
	// Variant is nil where the application's own default holds: the flag is disabled, has no default
	// variant, or could not be evaluated.
	Variant *Variant
	Reason  string
	// ErrorCode and Error are set with ReasonError.
	ErrorCode string
	Error     error
}

// Failed is the resolution of a flag that could not be evaluated.
func Failed(code string, err error) Resolution {
	return Resolution{Reason: ReasonError, ErrorCode: code, Error: err}
}

// Evaluate resolves f for c at a time. It never panics, and takes bounded time and memory.
func (f *Flag) Evaluate(c *Context, now time.Time) Resolution {
	if f.Disabled {
		return Resolution{Reason: ReasonDisabled}
	}
	if f.rule == nil {
		if f.Default == nil {
			return Resolution{Reason: ReasonDefault}
		}
		return Resolution{Variant: f.Default, Reason: ReasonStatic}
	}
	if f.rule.err != nil {
		return Failed(CodeParseError, fmt.Errorf("targeting of %q: %w", f.Key, f.rule.err))
	}
	result, err := f.rule.apply(c, f.Key, now)
	if err != nil {
		return Failed(CodeGeneral, fmt.Errorf("targeting of %q: %w", f.Key, err))
	}
	return f.resolve(result)
}

// resolve finds the variant that targeting named: nil names the default one, true and false the variants so called.
func (f *Flag) resolve(result any) Resolution {
	var name string
	switch result := result.(type) {
	case nil:
		return Resolution{Variant: f.Default, Reason: ReasonDefault}
	case string:
		name = result
	case bool:
		name = strconv.FormatBool(result)
	case float64:
		name = formatNumber(result)
	default:
		return Failed(CodeGeneral, fmt.Errorf("targeting of %q results in %T, not in a variant's name", f.Key, result))
	}
	v, ok := f.Variant(name)
	if !ok {
		return Failed(CodeGeneral, fmt.Errorf("targeting of %q results in %.100q, which is no variant of it", f.Key, name))
	}
	return Resolution{Variant: v, Reason: ReasonTargetingMatch}
}

// apply evaluates the rule. The library panics on data that an operation was not made for.
func (r *rule) apply(c *Context, flagKey string, now time.Time) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, fmt.Errorf("the rule does not fit the context: %v", p)
		}
	}()
	register()
	c.flagd[flagKeyKey] = flagKey
	c.flagd[timestampKey] = float64(now.Unix())
	return jsonlogic.ApplyInterface(r.logic, c.data)
}
