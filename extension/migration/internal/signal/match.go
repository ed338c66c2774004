// This file tells series apart.

package signal

import (
	"fmt"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// matches reports whether a series carries all of labels.
func matches(m *dto.Metric, labels map[string]string) bool {
	left := len(labels)
	for _, l := range m.GetLabel() {
		if want, ok := labels[l.GetName()]; ok {
			if want != l.GetValue() {
				return false
			}
			left--
		}
	}
	return left == 0
}

// seriesKey tells the series of one family apart.
func seriesKey(m *dto.Metric) string {
	var key strings.Builder
	for _, l := range m.GetLabel() {
		fmt.Fprintf(&key, "%q%q", l.GetName(), l.GetValue())
	}
	return key.String()
}
