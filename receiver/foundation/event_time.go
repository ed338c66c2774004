package foundation

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// A time outside of these is a mistake, mostly of the unit: seconds or milliseconds read as nanoseconds
// are in 1970, microseconds given by a clock in 1970 too.
var (
	earliest  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	maxFuture = 24 * time.Hour // beyond any skew of clocks
)

// time reads RFC 3339 or unix nanoseconds, as a number or as a string of digits; a null leaves dest as it is.
func (o *objectReader) time(name string, received time.Time, dest *pcommon.Timestamp) error {
	var text string
	switch kind := o.dec.PeekKind(); kind {
	case '0', '"', 'n':
		token, err := o.dec.ReadToken()
		if err != nil || kind == 'n' {
			return err
		}
		text = token.String()
	default:
		return invalid(name, "%s is not allowed; give RFC 3339 or unix nanoseconds", kindName(kind))
	}
	at, err := parseTime(text)
	if err != nil {
		return invalid(name, "%s is not allowed; give RFC 3339 (\"2006-01-02T15:04:05.999Z\") or unix nanoseconds", quote(text))
	}
	if at.Before(earliest) || at.After(received.Add(maxFuture)) {
		return invalid(name, "%s is %s; give unix nanoseconds (not seconds or milliseconds) of a time since 2000 and at most a day ahead",
			quote(text), at.UTC().Format(time.RFC3339))
	}
	*dest = pcommon.NewTimestampFromTime(at)
	return nil
}

func parseTime(text string) (time.Time, error) {
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(0, ns), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}
