// This file is the configuration: what can be set, and the defaults.

package dedup

import (
	"time"

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
	// Wire is the wire_dedup extension that takes repeats out of requests before they are decoded.
	Wire *component.ID `mapstructure:"wire"`
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
