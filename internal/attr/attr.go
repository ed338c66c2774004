// Package attr names the attributes that foundation-agent reads and writes (docs/architecture.md, "Names").
package attr

// Identity of the sender.
const (
	AgentID = "agent.id"           // resource: the registered agent that sent the record
	Process = "foundation.process" // record: process within the agent (a BEAM pid, a thread, a goroutine's name)
	// Unproven, resource, bool: the sender named agent.id but did not prove it, by its process or a token.
	// Such records get no stack and no enrichment, and change no entry.
	Unproven = "foundation.agent.unproven"
)

// Attributes of events: what callers ask for, and what event_dedup says of what it did.
const (
	DedupKey       = "dedup_key"                // explicit identity of the event, within its resource and event name
	OncePer        = "foundation.once_per"      // string, Go duration: at most one in this time
	BatchKey       = "foundation.batch.key"     // string: batch to join
	BatchSize      = "foundation.batch.size"    // int: records that close the batch
	BatchTimeout   = "foundation.batch.timeout" // string, Go duration: time that closes the batch
	BatchRecords   = "foundation.batch.records" // int: how many records a batch summary was made of
	LogCount       = "log_count"                // int: all events of the window, as in contrib's log_dedup
	FirstObserved  = "first_observed_timestamp" // string, RFC 3339
	LastObserved   = "last_observed_timestamp"  // string, RFC 3339
	Summary        = "foundation.dedup.summary" // bool: true on a summary
	RecordID       = "foundation.record_id"     // string: stable identity of a summary, for readers that drop repeats
	AdjustedCount  = "sampling.adjusted_count"  // double or int: how many events this one stands for; 1 where absent
	MeasurementPre = "measurement."             // prefix of an event's measurements
)

// Attributes of spans and of the context that logs gain from them.
const (
	DurationNs      = "foundation.duration_ns"           // int: the caller's monotonic duration
	EndReason       = "foundation.span.end_reason"       // string; absent for a normal end
	OpenDurationNs  = "foundation.span.open_duration_ns" // int: how long a span was open when it had to be closed
	HeartbeatNs     = "foundation.span.heartbeat_ns"     // int, in: how long the next half of this span may take
	Unstacked       = "foundation.span.unstacked"        // bool, in: the caller keeps its own parents; the span stands on no stack
	StartMissing    = "foundation.span.start_missing"    // bool: true on an end whose start never came
	ErrorContextPre = "error_context."                   // prefix of merged error context on spans and logs
)

// Marks on records.
const (
	Legacy    = "foundation.legacy"    // bool: written by the users' old code path
	Violation = "foundation.violation" // string: why strict enforcement would refuse the record ("legacy", "no_agent_id")
	Synthetic = "foundation.synthetic" // bool: made by diagnostics; never exported, counted or guarded on
)

// ControlPrefix is the prefix of attributes that only this agent and its configured peers may set.
const ControlPrefix = "foundation."
