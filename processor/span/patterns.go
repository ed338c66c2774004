// This file looks for words of trouble in what services log: a call into code that is no longer there says so
// nowhere else.

package span

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"go.opentelemetry.io/collector/pdata/plog"
)

// pattern is one that is looked for.
type pattern struct {
	name  string
	words *regexp.Regexp
}

// newPatterns returns them by name.
func newPatterns(configured map[string]string) ([]pattern, error) {
	patterns := make([]pattern, 0, len(configured))
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		words, err := regexp.Compile(configured[name])
		if err != nil {
			return nil, fmt.Errorf("patterns::%s: %q; must be a regular expression (RE2): %w", name, configured[name], err)
		}
		patterns = append(patterns, pattern{name, words})
	}
	return patterns, nil
}

// exceptionAttributes are where OpenTelemetry's conventions put an exception that is logged.
var exceptionAttributes = []string{"exception.type", "exception.message"}

// in reports whether a record has the words.
func (p *pattern) in(r plog.LogRecord) bool {
	if p.words.MatchString(r.Body().AsString()) {
		return true
	}
	for _, key := range exceptionAttributes {
		if text, ok := r.Attributes().Get(key); ok && p.words.MatchString(text.AsString()) {
			return true
		}
	}
	return false
}
