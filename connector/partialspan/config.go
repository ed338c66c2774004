// This file is the configuration of partial_span.

package partialspan

import "fmt"

// Config of the partial_span connector.
type Config struct {
	// ExpiryFactor times a log's partial.frequency is how long the next heartbeat may take.
	ExpiryFactor float64 `mapstructure:"expiry_factor"`
}

const defaultExpiryFactor = 3

// Validate reports a wrong option with its key, its value and what is allowed.
func (c *Config) Validate() error {
	if !(c.ExpiryFactor >= 1 && c.ExpiryFactor <= 1000) {
		return fmt.Errorf("expiry_factor: %v; must be from 1 to 1000", c.ExpiryFactor)
	}
	return nil
}
