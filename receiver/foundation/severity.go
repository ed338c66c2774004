package foundation

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
)

// severities are the names of OpenTelemetry's ranges and of the levels of syslog and Elixir's Logger, as
// the appendix of the log data model maps them.
// https://opentelemetry.io/docs/specs/otel/logs/data-model/#mapping-of-severitynumber
var severities = map[string]plog.SeverityNumber{
	"TRACE": plog.SeverityNumberTrace, "TRACE2": plog.SeverityNumberTrace2, "TRACE3": plog.SeverityNumberTrace3, "TRACE4": plog.SeverityNumberTrace4,
	"DEBUG": plog.SeverityNumberDebug, "DEBUG2": plog.SeverityNumberDebug2, "DEBUG3": plog.SeverityNumberDebug3, "DEBUG4": plog.SeverityNumberDebug4,
	"INFO": plog.SeverityNumberInfo, "INFO2": plog.SeverityNumberInfo2, "INFO3": plog.SeverityNumberInfo3, "INFO4": plog.SeverityNumberInfo4,
	"WARN": plog.SeverityNumberWarn, "WARN2": plog.SeverityNumberWarn2, "WARN3": plog.SeverityNumberWarn3, "WARN4": plog.SeverityNumberWarn4,
	"ERROR": plog.SeverityNumberError, "ERROR2": plog.SeverityNumberError2, "ERROR3": plog.SeverityNumberError3, "ERROR4": plog.SeverityNumberError4,
	"FATAL": plog.SeverityNumberFatal, "FATAL2": plog.SeverityNumberFatal2, "FATAL3": plog.SeverityNumberFatal3, "FATAL4": plog.SeverityNumberFatal4,
	"NOTICE": plog.SeverityNumberInfo2, "WARNING": plog.SeverityNumberWarn, "CRITICAL": plog.SeverityNumberError2,
	"ALERT": plog.SeverityNumberError3, "EMERGENCY": plog.SeverityNumberFatal,
}

// severity reads a name, in any case, or a number from 1 to 24.
func (d *eventDecoder) severity() error {
	switch kind := d.dec.PeekKind(); kind {
	case '0':
		raw, err := d.dec.ReadValue()
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(raw), 10, 32)
		if err != nil || n < int64(plog.SeverityNumberTrace) || n > int64(plog.SeverityNumberFatal4) {
			return invalidSeverity(string(raw))
		}
		d.record.SetSeverityNumber(plog.SeverityNumber(n))
		return nil
	default:
		b, err := d.textBytes("severity")
		if err != nil || len(b) == 0 {
			return err
		}
		text := d.names.intern(b)
		n, ok := severities[text]
		if !ok {
			n, ok = severities[strings.ToUpper(text)]
		}
		if !ok {
			return invalidSeverity(text)
		}
		d.record.SetSeverityNumber(n)
		d.record.SetSeverityText(text)
		return nil
	}
}

func invalidSeverity(got string) error {
	return invalid("severity", "%s is not allowed; give TRACE, DEBUG, INFO, WARN, ERROR or FATAL, each also with 2, 3 or 4 behind it, a level of Logger, or a number from 1 to 24", quote(got))
}
