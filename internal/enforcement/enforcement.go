// Package enforcement finds records of the users' old code path. First it only counts them (audit); when
// the flag of the last stage is on, the foundation receiver refuses them (strict). Other components count
// and mark them, and never refuse: a refusal there would take others' records of the same request.
package enforcement

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/flag"
)

// DefaultFlag is the users' name of the flag that makes enforcement strict.
const DefaultFlag = "enforce_no_process_dict"

// AuditConfig says what a violation is, for a component that counts and marks.
type AuditConfig struct {
	// RequireAgentID makes a record without agent.id a violation too.
	RequireAgentID bool `mapstructure:"require_agent_id"`
	// Offenders bounds how many senders are remembered by name.
	Offenders int `mapstructure:"offenders"`

	_ struct{}
}

// Config of a component that can refuse.
type Config struct {
	AuditConfig `mapstructure:",squash"`
	// Flags is the feature_flags extension whose flag makes it strict. Without it a receiver that has
	// this section is strict at once, as after the migration.
	Flags *component.ID `mapstructure:"flags"`
	// Flag is the name of that flag.
	Flag string `mapstructure:"flag"`

	_ struct{}
}

// NewDefaultAudit returns the defaults of a component that counts and marks.
func NewDefaultAudit() AuditConfig { return AuditConfig{Offenders: 1000} }

// NewDefaultConfig returns the defaults of a component that can refuse.
func NewDefaultConfig() Config { return Config{AuditConfig: NewDefaultAudit(), Flag: DefaultFlag} }

// Validate names key, value and what is allowed.
func (c *AuditConfig) Validate() error {
	if c.Offenders < 1 {
		return fmt.Errorf("offenders: %d: must be at least 1", c.Offenders)
	}
	return nil
}

// Validate names key, value and what is allowed.
func (c *Config) Validate() error {
	if c.Flag == "" {
		return fmt.Errorf("flag: is empty: the name of a boolean flag, such as %s", DefaultFlag)
	}
	return c.AuditConfig.Validate()
}

// Kind of a violation.
type Kind int

// Kinds, in the order of Kinds.
const (
	Legacy    Kind = iota // the record is marked foundation.legacy
	NoAgentID             // the record names no agent
	kinds
)

var kindNames = [kinds]string{"legacy", "no_agent_id"}

// String is the kind's name, as in metrics and the API.
func (k Kind) String() string { return kindNames[k] }

// Verdict on one record.
type Verdict int

// Verdicts.
const (
	Clean  Verdict = iota
	Found          // a violation: counted; mark the record and let it pass
	Refuse         // a violation while strict: counted; refuse this record, and no other
)

// Record is what a verdict is made of.
type Record struct {
	Sender  string // who sent it, for people: the agent's id, or the peer
	Legacy  bool   // it is marked foundation.legacy
	AgentID bool   // it names an agent

	seen bool // a receiver of ours has judged it
}

// Policy judges records and counts. A nil Policy finds nothing. Safe for concurrent use.
type Policy struct {
	place   string
	cfg     AuditConfig
	flag    string      // that makes it strict; "" none does
	strict  flag.Handle // nil: never strict
	refused [kinds]atomic.Int64
	marked  [kinds]atomic.Int64

	mu        sync.Mutex
	offenders *simplelru.LRU[offender, *offences]
}

// offender is a sender with a kind of violation.
type offender struct {
	sender string
	kind   Kind
}

type offences struct {
	count int64
	last  time.Time
}

// New returns the policy of a component (place, its id) that refuses while strict.
func New(place string, cfg Config, strict flag.Handle) *Policy {
	p := NewAudit(place, cfg.AuditConfig)
	p.flag, p.strict = cfg.Flag, strict
	return p
}

// NewAudit returns the policy of a component (place, its id) that never refuses.
func NewAudit(place string, cfg AuditConfig) *Policy {
	offenders, err := simplelru.NewLRU[offender, *offences](cfg.Offenders, nil)
	if err != nil {
		panic(err) // Validate allows only positive sizes
	}
	return &Policy{place: place, cfg: cfg, offenders: offenders}
}

// Check judges one record. A clean one costs a comparison.
func (p *Policy) Check(r Record) (Verdict, Kind) {
	switch {
	case p == nil:
		return Clean, 0
	case r.Legacy:
		return p.found(Legacy, r.Sender), Legacy
	case p.cfg.RequireAgentID && !r.AgentID:
		return p.found(NoAgentID, r.Sender), NoAgentID
	}
	return Clean, 0
}

func (p *Policy) found(kind Kind, sender string) Verdict {
	p.note(offender{sender, kind})
	if p.strict != nil && p.strict.Enabled() {
		p.refused[kind].Add(1)
		return Refuse
	}
	p.marked[kind].Add(1)
	return Found
}

func (p *Policy) note(o offender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.offenders.Get(o)
	if !ok {
		known = &offences{}
		p.offenders.Add(o, known)
	}
	known.count++
	known.last = time.Now()
}

// Each tells the counters of each kind, for metrics.
func (p *Policy) Each(tell func(kind string, refused, marked int64)) {
	for k := range kinds {
		tell(k.String(), p.refused[k].Load(), p.marked[k].Load())
	}
}
