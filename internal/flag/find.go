// This file finds the handle that a component's configuration asks for.

package flag

import (
	"fmt"

	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/host"
)

// Find binds the boolean flag name of the feature_flags extension id; key is the configuration key that
// holds the name, for the error. Without an id the component is simply on.
func Find(h component.Host, id *component.ID, key, name string) (Handle, error) {
	if id == nil {
		return On, nil
	}
	provider, err := host.Extension[Provider](h, "flags", *id)
	if err != nil {
		return nil, err
	}
	handle, err := provider.Bind(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return handle, nil
}
