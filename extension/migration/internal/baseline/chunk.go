// This file is how samples are kept: an hour of the clock in each chunk, so that a restart costs at most
// one sample and like hours can be compared with like.

package baseline

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/foundation-agent/foundation-agent/extension/migration/internal/signal"
)

// chunk holds the samples of one hour.
type chunk struct {
	Hour    int                  `json:"hour"` // of the day, UTC
	Started int64                `json:"started"`
	Values  map[string][]float64 `json:"values"` // by signal; samples without a value are left out
}

func chunkKey(name string, n int) string { return fmt.Sprintf("baseline/%s/%d", name, n) }

func newChunk(at time.Time) chunk {
	return chunk{Hour: at.UTC().Hour(), Started: hourOf(at), Values: map[string][]float64{}}
}

// hourOf numbers the hours of all days.
func hourOf(at time.Time) int64 { return at.Unix() / 3600 }

func (c *chunk) add(s signal.Sample) {
	for name, value := range s.Values {
		if value.OK {
			c.Values[name] = append(c.Values[name], value.Number)
		}
	}
}

func (c *chunk) encode() []byte {
	encoded, err := json.Marshal(c)
	if err != nil {
		panic(err) // numbers that signals give are finite (signal.known)
	}
	return encoded
}

// observed is a histogram as stored: JSON has no infinity, so the last bound is left out.
type observed struct {
	Bounds []float64 `json:"bounds"`
	Counts []float64 `json:"counts"`
	Sum    float64   `json:"sum"`
}
