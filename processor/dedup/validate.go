// This file refuses what cannot work. Errors name the key, the value, and what is allowed.

package dedup

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/glob"
)

// Validate checks all of the configuration that can be checked without its extensions. Errors name
// the key, the value and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxKeys < 1 || c.MaxKeys > maxKeysLimit {
		refuse("max_keys: %d is not within 1 and %d", c.MaxKeys, maxKeysLimit)
	}
	if c.MaxBytes < 1<<10 {
		refuse("max_bytes: %d is below the least of %d", c.MaxBytes, 1<<10)
	}
	if c.Queue.Records < 1 {
		refuse("queue::records: %d is below the least of 1", c.Queue.Records)
	}
	if c.Queue.Bytes < 1<<10 {
		refuse("queue::bytes: %d is below the least of %d", c.Queue.Bytes, 1<<10)
	}
	if !c.Retry.Enabled || c.Retry.MaxElapsedTime != 0 {
		refuse("retry: summaries are never given up: enabled must be true and max_elapsed_time 0")
	}
	if c.Retry.InitialInterval <= 0 || c.Retry.MaxInterval < c.Retry.InitialInterval {
		refuse("retry: initial_interval (%v) must be above 0 and max_interval (%v) not below it", c.Retry.InitialInterval, c.Retry.MaxInterval)
	}
	if c.StorageInterval < 10*time.Millisecond || c.StorageInterval > time.Minute {
		refuse("storage_interval: %v is not within 10ms and 1m", c.StorageInterval)
	}
	if c.OnShutdown != shutdownKeep && c.OnShutdown != shutdownDeliver {
		refuse("on_shutdown: %q is neither %q nor %q", c.OnShutdown, shutdownKeep, shutdownDeliver)
	}
	if c.Flag == "" {
		refuse("flag: must not be empty; the default is %q", defaultFlag)
	}
	if c.MetadataCardinalityLimit == 0 {
		refuse("metadata_cardinality_limit: 0 is below the least of 1")
	}
	if c.Wire != nil && len(c.MetadataKeys) > 0 {
		refuse("wire: %s cannot tell tenants apart: it must not be set beside metadata_keys", c.Wire)
	}
	seen := map[string]bool{}
	for _, key := range c.MetadataKeys {
		if lower := strings.ToLower(key); seen[lower] {
			refuse("metadata_keys: %q is listed twice (keys are case-insensitive)", key)
		} else {
			seen[lower] = true
		}
	}
	for i, a := range c.Trust.Addresses {
		if _, err := parsePrefix(a); err != nil {
			refuse("trust::addresses[%d]: %q is neither an address nor a prefix: %w", i, a, err)
		}
	}
	names := map[string]int{}
	for i := range c.Rules {
		name := c.Rules[i].name(i)
		if first, taken := names[name]; taken {
			refuse("rules[%d]::name: %q is the name of rules[%d]; names must differ", i, name, first)
		}
		names[name] = i
		if name == ruleNone || name == ruleRemoved {
			refuse("rules[%d]::name: %q is reserved", i, name)
		}
		if err := c.Rules[i].validate(); err != nil {
			refuse("rules[%d] (%s): %w", i, name, err)
		}
	}
	return errors.Join(errs...)
}

// name of the rule at position i, from 0.
func (r *Rule) name(i int) string {
	if r.Name != "" {
		return r.Name
	}
	return fmt.Sprintf("rule%d", i+1)
}

func (r *Rule) validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for i, p := range r.Match.Events {
		if _, err := glob.Compile(p); err != nil {
			refuse("match::events[%d]: %q is no glob: %w", i, p, err)
		}
	}
	for i, p := range r.Match.Body {
		if _, err := regexp.Compile(p); err != nil {
			refuse("match::body[%d]: %w", i, err)
		}
	}
	if r.Dedup == nil && r.Sampling == nil && r.Batch == nil && !r.Caller {
		refuse("has no step: give one or more of dedup, sampling, batch, caller")
	}
	if d := r.Dedup; d != nil {
		if d.Window < minWindow || d.Window > maxWindow {
			refuse("dedup::window: %v is not within %v and %v", d.Window, minWindow, maxWindow)
		}
		if !slices.Contains([]string{emitFirstAndSummary, emitFirst, emitSummary}, d.Emit) {
			refuse("dedup::emit: %q is none of %s, %s, %s", d.Emit, emitFirstAndSummary, emitFirst, emitSummary)
		}
		if _, _, err := compileExclude(d.Exclude); err != nil {
			errs = append(errs, err)
		}
	}
	if r.Sampling != nil {
		errs = append(errs, r.Sampling.validate())
	}
	if b := r.Batch; b != nil {
		if b.Size < 1 {
			refuse("batch::size: %d is below the least of 1", b.Size)
		}
		if b.Timeout < minWindow || b.Timeout > maxWindow {
			refuse("batch::timeout: %v is not within %v and %v", b.Timeout, minWindow, maxWindow)
		}
	}
	if l := r.CallerLimits; r.Caller && (l.Window < minWindow || l.Window > maxWindow || l.BatchTimeout < minWindow || l.BatchTimeout > maxWindow || l.BatchSize < 1) {
		refuse("caller_limits: window (%v) and batch_timeout (%v) must be within %v and %v, batch_size (%d) at least 1",
			l.Window, l.BatchTimeout, minWindow, maxWindow, l.BatchSize)
	}
	return errors.Join(errs...)
}

func (s *SamplingConfig) validate() error {
	window := func() error {
		if s.Window < minWindow || s.Window > maxWindow {
			return fmt.Errorf("sampling::window: %v is not within %v and %v", s.Window, minWindow, maxWindow)
		}
		return nil
	}
	if s.MaxWait < 0 || s.MaxWait > maxWindow {
		return fmt.Errorf("sampling::max_wait: %v is not within 0 and %v", s.MaxWait, maxWindow)
	}
	switch s.Strategy {
	case sampleAlways, sampleNever:
	case sampleRandom:
		if !(s.Probability > 0 && s.Probability <= 1) {
			return fmt.Errorf("sampling::probability: %v is not above 0 and at most 1", s.Probability)
		}
	case sampleRateLimited:
		if !(s.Rate > 0) {
			return fmt.Errorf("sampling::rate: %v is not above 0", s.Rate)
		}
		if s.Burst < 0 {
			return fmt.Errorf("sampling::burst: %d is below 0", s.Burst)
		}
	case sampleAdaptive:
		if !(s.Target > 0) {
			return fmt.Errorf("sampling::target: %v is not above 0", s.Target)
		}
		return window()
	case sampleReservoir:
		if s.Size < 1 || s.Size > maxReservoir {
			return fmt.Errorf("sampling::size: %d is not within 1 and %d", s.Size, maxReservoir)
		}
		return window()
	default:
		return fmt.Errorf("sampling::strategy: %q is none of %s", s.Strategy, strings.Join([]string{
			sampleAlways, sampleNever, sampleRandom, sampleRateLimited, sampleAdaptive, sampleReservoir}, ", "))
	}
	return nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Unmap().Prefix(a.Unmap().BitLen())
}
