// This file makes the secret that keys the hash of identities.

package dedup

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"go.opentelemetry.io/collector/config/configopaque"
)

// makeSecret derives the secret from the configured one, or makes one up.
func makeSecret(configured configopaque.String) (secret, error) {
	if configured != "" {
		return sha256.Sum256([]byte(configured)), nil
	}
	var s secret
	if _, err := rand.Read(s[:]); err != nil {
		return secret{}, fmt.Errorf("key_secret: %w", err)
	}
	return s, nil
}
