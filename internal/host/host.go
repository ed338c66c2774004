// Package host finds the extensions that a component's configuration names.
package host

import (
	"fmt"

	"go.opentelemetry.io/collector/component"
)

// Extension returns the extension id as T. The error names the configuration key, the id and what
// was wanted, so that a dangling reference is refused at start and can be mended from the message.
func Extension[T any](h component.Host, key string, id component.ID) (T, error) {
	var none T
	ext, ok := h.GetExtensions()[id]
	if !ok {
		return none, fmt.Errorf("%s: extension %q is not configured or not listed under service::extensions", key, id)
	}
	found, ok := ext.(T)
	if !ok {
		return none, fmt.Errorf("%s: extension %q (%T) does not offer %T", key, id, ext, (*T)(nil))
	}
	return found, nil
}
