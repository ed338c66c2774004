// This file is what overrides look like when they are stored.

package flags

import (
	"encoding/json"
	"fmt"
)

// storeFormat rises when an agent that is older could not read what is stored.
const storeFormat = 1

// stored is the value under storeKey.
type stored struct {
	Format    int                 `json:"format"`
	Overrides map[string]override `json:"overrides"`
}

type newerFormatError struct{ format int }

func (e *newerFormatError) Error() string {
	return fmt.Sprintf("stored overrides have format %d, this agent reads %d: they are left alone and changes are not stored", e.format, storeFormat)
}

func encodeOverrides(overrides map[string]override) ([]byte, error) {
	if overrides == nil {
		overrides = map[string]override{}
	}
	return json.Marshal(stored{Format: storeFormat, Overrides: overrides})
}

func decodeOverrides(raw []byte) (map[string]override, error) {
	var format struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(raw, &format); err != nil {
		return nil, fmt.Errorf("stored overrides: %w", err)
	}
	if format.Format > storeFormat {
		return nil, &newerFormatError{format.Format}
	}
	var all stored
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("stored overrides: %w", err)
	}
	if all.Format != storeFormat || all.Overrides == nil {
		return nil, fmt.Errorf("stored overrides: not of format %d", storeFormat)
	}
	for name, o := range all.Overrides {
		if err := o.decode(); err != nil {
			return nil, fmt.Errorf("stored override of %q: %w", name, err)
		}
		all.Overrides[name] = o
	}
	return all.Overrides, nil
}
