package flagd

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/murmur3"
	"pgregory.net/rapid"
)

// vector is one evaluation and what it must result in.
type vector struct {
	Flag    string          `json:"flag"`
	Context json.RawMessage `json:"context"`
	Variant string          `json:"variant"`
	Reason  string          `json:"reason"`
	Error   string          `json:"error"`
	Flagd   bool            `json:"flagd"`
}

func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var vectors struct {
		Document json.RawMessage `json:"document"`
		Cases    []vector        `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(raw, &vectors))
	set, err := Parse("vectors.json", vectors.Document)
	require.NoError(t, err)
	for _, c := range vectors.Cases {
		t.Run(c.Flag+string(c.Context), func(t *testing.T) {
			f, ok := set.Flag(c.Flag)
			require.True(t, ok)
			context, err := NewContext(c.Context)
			require.NoError(t, err)
			r := f.Evaluate(context, time.Now())
			require.Equal(t, c.Reason, r.Reason, "%v", r.Error)
			require.Equal(t, c.Error, r.ErrorCode, "%v", r.Error)
			if c.Variant == "" {
				require.Nil(t, r.Variant)
			} else {
				require.Equal(t, c.Variant, r.Variant.Name)
			}
		})
	}
}

func TestMetadataOfFlagLiesOverThatOfItsSet(t *testing.T) {
	set := parsed(t, `{"metadata":{"flagSetId":"s","version":"1"},"flags":{"f":{"state":"ENABLED","variants":{"a":1},"metadata":{"version":"2"}}}}`)
	f, _ := set.Flag("f")
	require.Equal(t, map[string]any{"flagSetId": "s", "version": "2"}, f.Metadata)
	require.Equal(t, map[string]any{"flagSetId": "s", "version": "1"}, set.Metadata)
}

// Each share of 100,000 keys must lie within five standard deviations of its weight.
func TestFractionalSplit(t *testing.T) {
	const keys = 100_000
	weights := map[string]float64{"a": 1, "b": 9, "c": 40, "d": 150}
	set := parsed(t, `{"flags":{"split":{"state":"ENABLED","variants":{"a":1,"b":2,"c":3,"d":4},
		"targeting":{"fractional":[["a",1],["b",9],["c",40],["d",150]]}}}}`)
	f, _ := set.Flag("split")
	counts := map[string]int{}
	for i := range keys {
		r := f.Evaluate(KeyContext(fmt.Sprintf("user-%d", i)), time.Time{})
		require.NoError(t, r.Error)
		counts[r.Variant.Name]++
	}
	for name, weight := range weights {
		p := weight / 200
		require.InDelta(t, p*keys, counts[name], 5*math.Sqrt(keys*p*(1-p)), name)
	}
	t.Logf("of %d keys: %v", keys, counts)
}

// A bucket is where the hash lies in the whole range, scaled down; it never leaves the range.
func TestBucketIsMonotoneInTheHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		total := rapid.Uint32Range(1, maxWeight).Draw(t, "total")
		ba, bb := Bucket(a, total), Bucket(b, total)
		if ba >= total || bb >= total {
			t.Fatalf("%d, %d of %d", ba, bb, total)
		}
		if ha, hb := murmur3.StringSum32(a), murmur3.StringSum32(b); (ha < hb && ba > bb) || (ha > hb && ba < bb) {
			t.Fatalf("hashes %d %d, buckets %d %d", ha, hb, ba, bb)
		}
	})
}

func TestTimestampIsTheTimeOfEvaluation(t *testing.T) {
	set := parsed(t, `{"flags":{"f":{"state":"ENABLED","variants":{"true":1,"false":0},"targeting":{">=":[{"var":"$flagd.timestamp"},1000]}}}}`)
	f, _ := set.Flag("f")
	require.True(t, f.UsesTime())
	require.Equal(t, "false", f.Evaluate(KeyContext("k"), time.Unix(999, 0)).Variant.Name)
	require.Equal(t, "true", f.Evaluate(KeyContext("k"), time.Unix(1000, 0)).Variant.Name)
}

// What a context holds is data, also where it looks like a rule.
func TestContextIsNeverApplied(t *testing.T) {
	set := parsed(t, `{"flags":{"f":{"state":"ENABLED","variants":{"secret":1,"x":0},"defaultVariant":"x","targeting":{"if":[true,{"var":"evil"}]}}}}`)
	f, _ := set.Flag("f")
	for _, evil := range []string{`{"cat":["secret"]}`, `{"":{"cat":["secret"]}}`, `{"var":"targetingKey"}`} {
		c, err := NewContext(json.RawMessage(`{"targetingKey":"secret","evil":` + evil + `}`))
		require.NoError(t, err)
		require.Equal(t, CodeGeneral, f.Evaluate(c, time.Now()).ErrorCode, evil)
	}
}

func parsed(t testing.TB, document string) *Set {
	t.Helper()
	set, err := Parse("flags.json", []byte(document))
	require.NoError(t, err)
	return set
}

func ruleOf(targeting string) string {
	return `{"flags":{"f":{"state":"ENABLED","variants":{"a":1},"targeting":` + targeting + `}}}`
}

func repeated(open, middle, end string, n int) string {
	return strings.Repeat(open, n) + middle + strings.Repeat(end, n)
}
