// This file reads quantities ("5ms", "10 MB", "5 %", "1MB/h") into the unit of a signal. Durations are
// Go's, bytes are humanize's (1 MB = 10^6, 1 MiB = 2^20); units of signals are UCUM (https://ucum.org).

package guard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// seconds in a UCUM unit of time.
var seconds = map[string]float64{"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}

// octets in a UCUM unit of information.
var octets = map[string]float64{
	"By": 1, "kBy": 1e3, "MBy": 1e6, "GBy": 1e9,
	"KiBy": 1 << 10, "MiBy": 1 << 20, "GiBy": 1 << 30,
}

// parseQuantity reads text as a number in unit. A number without unit is in unit already.
func parseQuantity(text, unit string) (float64, error) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return 0, fmt.Errorf("%q is not a finite number", text)
		}
		return n, nil
	}
	amount, per, isRate := strings.Cut(text, "/")
	unit, unitPer, unitIsRate := strings.Cut(unit, "/")
	if isRate && !unitIsRate {
		return 0, fmt.Errorf("%q is a rate, and the signal's unit %q is none", text, unit)
	}
	scale := 1.0
	if isRate {
		had, ok := seconds[strings.TrimSpace(per)]
		want, wantOK := seconds[unitPer]
		if !ok || !wantOK {
			return 0, fmt.Errorf("%q: per must be one of ns, us, ms, s, min, h, d", text)
		}
		scale = want / had
	}
	n, err := parseAmount(strings.TrimSpace(amount), unit)
	return n * scale, err
}

func parseAmount(text, unit string) (float64, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n, nil
	}
	if in, ok := seconds[unit]; ok {
		d, err := time.ParseDuration(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			return 0, fmt.Errorf("%q is no duration, and the signal's unit is %q", text, unit)
		}
		return d.Seconds() / in, nil
	}
	if in, ok := octets[unit]; ok {
		b, err := humanize.ParseBytes(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no number of bytes, and the signal's unit is %q", text, unit)
		}
		return float64(b) / in, nil
	}
	if percent, ok := strings.CutSuffix(text, "%"); ok && unit == "1" {
		n, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
		if err != nil {
			return 0, fmt.Errorf("%q is no percentage", text)
		}
		return n / 100, nil
	}
	return 0, fmt.Errorf("%q cannot be converted to the signal's unit %q: leave the unit away", text, unit)
}
