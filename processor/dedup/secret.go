// This file makes the secret that keys the hash of identities.

package dedup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"go.opentelemetry.io/collector/config/configopaque"
)

// makeSecret derives the secret from the configured one, or makes one up.
func makeSecret(configured configopaque.String) (secret, error) {
	var raw [sha256.Size]byte
	if configured != "" {
		raw = sha256.Sum256([]byte(configured))
	} else if _, err := rand.Read(raw[:]); err != nil {
		return secret{}, fmt.Errorf("key_secret: %w", err)
	}
	return secret{binary.LittleEndian.Uint64(raw[:8]), binary.LittleEndian.Uint64(raw[8:16])}, nil
}
