package openspans

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The index finds what a map would, for any order of reserving and vacating, and after it has been rebuilt.
func TestIndexFindsWhatAMapFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, want := newIndex(), map[key]ref{}
		keys := rapid.SliceOfNDistinct(rapid.IntRange(0, 500), 1, 300, rapid.ID).Draw(t, "keys")
		for step, n := range rapid.SliceOfN(rapid.SampledFrom(keys), 0, 600).Draw(t, "steps") {
			k := key{trace: traceID(n), span: spanID(n % 7)}
			if r, known := want[k]; known {
				x.vacate(k, r)
				delete(want, k)
			} else {
				want[k] = x.reserve(k)
				x.places[want[k]].ended = 1
			}
			if step%100 == 99 {
				x.rebuild()
			}
		}
		require.Equal(t, len(want), x.len)
		for _, n := range keys {
			k := key{trace: traceID(n), span: spanID(n % 7)}
			require.Equal(t, want[k], x.find(k))
		}
	})
}
