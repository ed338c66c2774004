// This file is flagd's operation fractional: a split of targeting keys by weights
// (https://flagd.dev/reference/specifications/custom-operations/fractional-operation-spec/).

package flagd

import (
	"errors"
	"fmt"
	"math"

	"github.com/twmb/murmur3"
)

// maxWeight is the greatest sum of weights: flagd's providers agree on what fits a signed 32-bit integer.
const maxWeight = math.MaxInt32

// fractional is flagd's operation of that name: values are what to bucket by (a string; else the flag's
// key and the targeting key, put together) and the buckets, each a variant and its weight (1 if absent).
func fractional(values, data any) any {
	buckets, ok := values.([]any)
	if !ok || len(buckets) == 0 {
		return nil
	}
	bucketBy, ok := buckets[0].(string)
	if ok {
		buckets = buckets[1:]
	} else if bucketBy, ok = defaultBucketing(data); !ok {
		return nil
	}
	distribution, total, err := parseBuckets(buckets)
	if err != nil {
		return nil
	}
	return distribution.at(Bucket(bucketBy, total))
}

func defaultBucketing(data any) (string, bool) {
	context, _ := data.(map[string]any)
	properties, _ := context[flagdKey].(map[string]any)
	flagKey, _ := properties[flagKeyKey].(string)
	targetingKey, _ := context[targetingKeyKey].(string)
	return flagKey + targetingKey, targetingKey != ""
}

// Bucket maps key to a number below total, which is at most 2^31-1: the 32-bit x86 MurmurHash3 of key,
// seed 0, scaled in whole numbers (flagd's high-precision fractional bucketing, flagd v0.15 and its peers).
func Bucket(key string, total uint32) uint32 {
	return uint32(uint64(murmur3.StringSum32(key)) * uint64(total) >> 32)
}

type bucket struct {
	variant any // string, number, boolean or nil
	weight  uint32
}

type distribution []bucket

// at returns the variant whose range of weights point lies in.
func (d distribution) at(point uint32) any {
	var end uint32
	for _, b := range d {
		if end += b.weight; point < end {
			return b.variant
		}
	}
	return nil // the weights are all zero
}

func parseBuckets(written []any) (distribution, uint32, error) {
	d := make(distribution, len(written))
	var total int64
	for i := range written {
		b, err := parseBucket(written[i])
		if err != nil {
			return nil, 0, err
		}
		if total += int64(b.weight); total > maxWeight {
			return nil, 0, fmt.Errorf("the weights add up to more than %d", maxWeight)
		}
		d[i] = b
	}
	return d, uint32(total), nil
}

func parseBucket(written any) (bucket, error) {
	parts, ok := written.([]any)
	if !ok || len(parts) == 0 || len(parts) > 2 {
		return bucket{}, errors.New("a bucket is an array of a variant and a weight")
	}
	b := bucket{variant: parts[0], weight: 1}
	switch b.variant.(type) {
	case nil, string, bool, float64, int:
	default:
		return bucket{}, errors.New("a variant is a string, number or boolean")
	}
	if len(parts) == 2 {
		weight, ok := parts[1].(float64)
		if !ok || weight != math.Trunc(weight) || weight > maxWeight {
			return bucket{}, fmt.Errorf("a weight is a whole number of at most %d", maxWeight)
		}
		// A rollout that computes its weights may go below zero: that is nobody yet.
		b.weight = uint32(max(0, weight))
	}
	return b, nil
}
