// This file tells of changes that took effect: a log line, a metric, and an event into the pipeline.

package flags

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/attr"
	"github.com/foundation-agent/foundation-agent/internal/extevent"
	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// EventChanged is the name of the event that tells of a changed flag. Its attributes are those of
// OpenTelemetry's feature-flag conventions (https://opentelemetry.io/docs/specs/semconv/feature-flags/)
// and, for what they have no name for, feature_flag.previous.* and feature_flag.change.*: foundation.*
// would be taken for control attributes and stripped.
const EventChanged = attr.ControlPrefix + "feature_flag.changed"

// Attributes of the event.
const (
	attrKey      = "feature_flag.key"
	attrValue    = "feature_flag.result.value"
	attrVariant  = "feature_flag.result.variant"
	attrReason   = "feature_flag.result.reason"
	attrProvider = "feature_flag.provider.name"
	attrSetID    = "feature_flag.set.id"
	attrVersion  = "feature_flag.version"

	attrPreviousValue   = "feature_flag.previous.value"
	attrPreviousVariant = "feature_flag.previous.variant"
	attrCause           = "feature_flag.change.cause"
	attrAuthor          = "feature_flag.change.author"
	attrWhy             = "feature_flag.change.reason"
	attrPercentage      = "feature_flag.change.percentage"
	attrSequence        = "feature_flag.change.sequence" // rises; no two changes are merged as duplicates
)

const providerName = "foundation-agent"

// announce tells of each flag that a transition changed. The dispatcher calls it, in order.
func (e *flagsExtension) announce(t transition) {
	changed := 0
	for _, f := range t.to.definitions.Flags {
		if differs(t.from, t.to, f.Key) {
			changed++
			e.tell(t, f)
		}
	}
	for _, f := range t.from.definitions.Flags {
		if _, there := t.to.definitions.Flag(f.Key); !there {
			changed++
			e.tell(t, f) // to the application's own default
		}
	}
	if changed > 0 {
		e.telemetry.FeatureFlagsChanges.Add(context.Background(), int64(changed),
			metric.WithAttributes(attribute.String("cause", t.cause)))
	}
	e.ofrep.streams.changed()
}

// differs says whether a flag resolves to something else for this host, or its override says something else.
func differs(from, to *state, key string) bool {
	a, b := from.resolved[key], to.resolved[key]
	if variantOf(a) != variantOf(b) || !reflect.DeepEqual(valueOf(a), valueOf(b)) {
		return true
	}
	oa, ob := from.overrides[key], to.overrides[key]
	return oa.Kind != ob.Kind || oa.Percentage != ob.Percentage
}

func (e *flagsExtension) tell(t transition, f *flagd.Flag) {
	was, is := t.from.resolved[f.Key], t.to.resolved[f.Key]
	by := t.by
	if o, ok := t.to.overrides[f.Key]; ok && o.At.Equal(t.to.at) {
		by = o.By // a dependant's says what it depends on
	}
	e.logger.Info("Flag changed",
		zap.String("flag", f.Key), zap.Any("value", valueOf(is)), zap.Any("previous", valueOf(was)),
		zap.String("variant", variantOf(is)), zap.String("cause", t.cause),
		zap.String("author", by.Name), zap.String("reason", by.Reason))
	attributes := map[string]any{
		attrKey:             f.Key,
		attrProvider:        providerName,
		attrReason:          strings.ToLower(is.Reason),
		attrValue:           attributeOf(is),
		attrVariant:         variantOf(is),
		attrPreviousValue:   attributeOf(was),
		attrPreviousVariant: variantOf(was),
		attrCause:           t.cause,
		attrSequence:        int64(t.to.version),
		attrAuthor:          by.Name,
		attrWhy:             by.Reason,
	}
	if o, ok := t.to.overrides[f.Key]; ok && o.Kind == kindPercentage {
		attributes[attrPercentage] = o.Percentage
	}
	if id, ok := f.Metadata[metaFlagSetID].(string); ok {
		attributes[attrSetID] = id
	}
	if version, ok := f.Metadata[metaVersion]; ok {
		attributes[attrVersion] = fmt.Sprint(version)
	}
	e.events.Put(extevent.Event{
		Name:       EventChanged,
		Time:       t.to.at,
		Severity:   plog.SeverityNumberInfo,
		Body:       fmt.Sprintf("flag %s changed from %s to %s by %s", f.Key, textOf(was), textOf(is), by.Name),
		Attributes: attributes,
	})
}

// attributeOf is a value as an attribute; an object is written as JSON.
func attributeOf(r flagd.Resolution) any {
	switch v := valueOf(r).(type) {
	case nil:
		return "" // the application's own default
	case map[string]any:
		return string(r.Variant.Raw)
	default:
		return v
	}
}

func textOf(r flagd.Resolution) string {
	if r.Variant == nil {
		return "the application's default"
	}
	if r.Variant.Name != "" {
		return r.Variant.Name
	}
	return string(r.Variant.Raw)
}
