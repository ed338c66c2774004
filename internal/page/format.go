// This file shows numbers with their units, for axes and tables.

package page

import (
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
)

// Number shows a count or a rate.
func Number(v float64) string { return humanize.CommafWithDigits(v, 2) }

// Bytes shows an amount of memory.
func Bytes(v float64) string { return humanize.IBytes(uint64(max(v, 0))) }

// Seconds shows a duration given in seconds.
func Seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Round(roundTo(v)).String()
}

// roundTo keeps three digits or so.
func roundTo(seconds float64) time.Duration {
	switch {
	case seconds >= 100:
		return time.Second
	case seconds >= 0.1:
		return time.Millisecond
	case seconds >= 1e-4:
		return time.Microsecond
	}
	return time.Nanosecond
}

// Count shows a whole number.
func Count(n int64) string { return humanize.Comma(n) }

// Percent shows a share of 1.
func Percent(v float64) string { return strconv.FormatFloat(v*100, 'f', 1, 64) + " %" }
