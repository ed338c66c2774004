// This file is the configuration: what can be set, the defaults, and what is refused.

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
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
)

// Config of the processor.
type Config struct {
	// Rules in order; the first that matches a record applies. None given: one rule over every event.
	Rules []Rule `mapstructure:"rules"`

	// MaxKeys bounds the table. A key evicted for another gives its summary first.
	MaxKeys int `mapstructure:"max_keys"`
	// MaxBytes bounds the memory of records kept for summaries. Keys are evicted beyond it.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// Queue bounds the summaries that wait to be delivered. When it is full senders are told to retry.
	Queue QueueConfig `mapstructure:"queue"`
	// Retry of deliveries of summaries that failed. max_elapsed_time must be 0: they are never given up.
	Retry configretry.BackOffConfig `mapstructure:"retry"`

	// Storage is the storage extension that state is kept in; without one it is lost at a crash.
	Storage *component.ID `mapstructure:"storage"`
	// StorageInterval is the time between writes: what kill -9 may lose.
	StorageInterval time.Duration `mapstructure:"storage_interval"`
	// OnShutdown is "keep" (state waits in storage for the next start) or "deliver" (summaries leave now).
	// Without storage they are delivered always.
	OnShutdown string `mapstructure:"on_shutdown"`

	// KeySecret keys the hash of identities. Set the same where tiers must agree; else one is made, and kept in storage.
	KeySecret configopaque.String `mapstructure:"key_secret"`
	// MetadataKeys are the client metadata by which tenants are kept apart, as in the batch processor.
	MetadataKeys []string `mapstructure:"metadata_keys"`
	// MetadataCardinalityLimit bounds the tenants. Records of further ones are refused.
	MetadataCardinalityLimit uint32 `mapstructure:"metadata_cardinality_limit"`
	// Trust says whose control attributes are honoured.
	Trust TrustConfig `mapstructure:"trust"`

	// Flags is the feature_flags extension that switches the rules; without one they are on.
	Flags *component.ID `mapstructure:"flags"`
	// Flag is the name of that flag.
	Flag string `mapstructure:"flag"`
	// Control is the control extension that shows the table to operators.
	Control *component.ID `mapstructure:"control"`
}

// QueueConfig bounds the summaries that wait to be delivered.
type QueueConfig struct {
	Records int   `mapstructure:"records"`
	Bytes   int64 `mapstructure:"bytes"`
}

// TrustConfig recognises peers whose control attributes are honoured: any one of the three is enough.
type TrustConfig struct {
	// Metadata: a client metadata key (a header) and the values that are trusted.
	Metadata map[string][]configopaque.String `mapstructure:"metadata"`
	// Auth: an attribute of the receiver's authenticator and the values that are trusted.
	Auth map[string][]string `mapstructure:"auth"`
	// Addresses of peers, as addresses or prefixes.
	Addresses []string `mapstructure:"addresses"`
}

// Rule says which records it takes and what happens to them: dedup, then sampling, then batch.
type Rule struct {
	// Name in metrics, tables and stored state. Default: "rule" and its position, from 1.
	Name     string          `mapstructure:"name"`
	Match    MatchConfig     `mapstructure:"match"`
	Dedup    *DedupConfig    `mapstructure:"dedup"`
	Sampling *SamplingConfig `mapstructure:"sampling"`
	Batch    *BatchConfig    `mapstructure:"batch"`
	// Caller honours foundation.once_per and foundation.batch.* of trusted senders, within CallerLimits.
	Caller       bool         `mapstructure:"caller"`
	CallerLimits CallerLimits `mapstructure:"caller_limits"`
	// DryRun lets every record pass and only reports what the rule would have done.
	DryRun bool `mapstructure:"dry_run"`
}

// MatchConfig of a rule. A record must match every list that is given; of a list, one pattern is enough.
type MatchConfig struct {
	// Events are globs of event names. An event is a record with an EventName or a dedup_key.
	Events []string `mapstructure:"events"`
	// Body are regular expressions (RE2) of the body as text.
	Body []string `mapstructure:"body"`
	// Conditions are OTTL conditions of the log context.
	Conditions []string `mapstructure:"conditions"`
}

// Modes of DedupConfig.Emit.
const (
	emitFirstAndSummary = "first_and_summary"
	emitFirst           = "first"
	emitSummary         = "summary"
)

// DedupConfig is the first step of a rule.
type DedupConfig struct {
	// Window of a key; it starts with the key's first event. At least 1 ms.
	Window time.Duration `mapstructure:"window"`
	// Emit is first_and_summary, first or summary.
	Emit string `mapstructure:"emit"`
	// Exclude are fields that do not belong to the identity and are left out of summaries:
	// attributes.<name> or body.<name>, nested by ".", a "." within a name escaped by "\".
	Exclude []string `mapstructure:"exclude"`
}

// Strategies of SamplingConfig.
const (
	sampleAlways      = "always"
	sampleNever       = "never"
	sampleRandom      = "random"
	sampleRateLimited = "rate_limited"
	sampleAdaptive    = "adaptive"
	sampleReservoir   = "reservoir"
)

// SamplingConfig is the second step of a rule.
type SamplingConfig struct {
	// Strategy is always, never, random, rate_limited, adaptive or reservoir.
	Strategy string `mapstructure:"strategy"`
	// Probability of random, in (0, 1].
	Probability float64 `mapstructure:"probability"`
	// Rate of rate_limited, in records a second.
	Rate float64 `mapstructure:"rate"`
	// Burst of rate_limited. Default: the rate, at least 1.
	Burst int `mapstructure:"burst"`
	// Target of adaptive, in records a second.
	Target float64 `mapstructure:"target"`
	// Size of reservoir: records that leave of a window.
	Size int `mapstructure:"size"`
	// Window of adaptive (over which the rate is measured) and reservoir.
	Window time.Duration `mapstructure:"window"`
	// MaxWait is how long dropped weight waits for a record to ride on before it leaves as a summary; 0 for ever.
	MaxWait time.Duration `mapstructure:"max_wait"`
}

// BatchConfig is the third step of a rule: records of one event name and resource become one summary.
type BatchConfig struct {
	// Size closes a batch when it holds this many records.
	Size int `mapstructure:"size"`
	// Timeout closes a batch this long after its first record.
	Timeout time.Duration `mapstructure:"timeout"`
}

// CallerLimits clamp what callers ask for.
type CallerLimits struct {
	Window       time.Duration `mapstructure:"window"`
	BatchSize    int           `mapstructure:"batch_size"`
	BatchTimeout time.Duration `mapstructure:"batch_timeout"`
}

const (
	shutdownKeep    = "keep"
	shutdownDeliver = "deliver"

	defaultFlag    = "use_ets_sampled_events"
	defaultWindow  = 10 * time.Second
	defaultMaxWait = time.Minute
	minWindow      = time.Millisecond
	maxWindow      = 7 * 24 * time.Hour
)

func defaultDedup() DedupConfig {
	return DedupConfig{Window: defaultWindow, Emit: emitFirstAndSummary}
}

// Unmarshal fills in the defaults of what a rule does not say.
func (r *Rule) Unmarshal(conf *confmap.Conf) error {
	*r = Rule{CallerLimits: CallerLimits{Window: time.Hour, BatchSize: 10_000, BatchTimeout: time.Minute}}
	return conf.Unmarshal(r)
}

// Unmarshal fills in the defaults.
func (d *DedupConfig) Unmarshal(conf *confmap.Conf) error {
	*d = defaultDedup()
	return conf.Unmarshal(d)
}

// Unmarshal fills in the defaults.
func (s *SamplingConfig) Unmarshal(conf *confmap.Conf) error {
	*s = SamplingConfig{Window: defaultWindow, MaxWait: defaultMaxWait}
	return conf.Unmarshal(s)
}

// Unmarshal fills in the defaults.
func (b *BatchConfig) Unmarshal(conf *confmap.Conf) error {
	*b = BatchConfig{Size: 100, Timeout: 5 * time.Second}
	return conf.Unmarshal(b)
}

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
