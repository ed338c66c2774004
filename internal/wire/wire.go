// Package wire is what wire_dedup, which sees requests before they are decoded, and event_dedup, which knows what
// repeats, know of each other.
package wire

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Sieve takes known repeats out of requests. The wire_dedup extension is one.
type Sieve interface {
	// Bind names the table that knows the repeats, until unbind is called. There can be one at a time.
	Bind(t Table) (unbind func(), err error)
}

// Table knows what repeats. It is safe for concurrent use.
type Table interface {
	// Open reports whether repeats may be taken out at all now.
	Open() bool
	// Learn returns the event of the one record in one, nil if such records must not be taken out. It may change one.
	Learn(one plog.Logs) Event
}

// Event is something that repeats. It is safe for concurrent use.
type Event interface {
	// Suppressed is how long, from now on, its records would only be counted; 0 if the next one is needed.
	Suppressed() time.Duration
	// Count counts n records that were taken out.
	Count(n int)
}
