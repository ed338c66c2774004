// This file says what is made of missing data.

package guard

import "fmt"

// Verdict on a criterion whose signal has no value now.
type Verdict string

// What missing data may mean.
const (
	Hold   Verdict = "hold"   // not known: neither a breach nor time observed
	Pass   Verdict = "pass"   // nothing there is nothing wrong: as if the threshold held
	Breach Verdict = "breach" // as if the threshold were broken
)

// Validate names what is allowed. "" is Hold.
func (v Verdict) Validate() error {
	switch v {
	case "", Hold, Pass, Breach:
		return nil
	}
	return fmt.Errorf("%q: must be %s, %s or %s", string(v), Hold, Pass, Breach)
}
