package registry

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// BenchmarkLookup looks up one of 10,000 agents while one goroutine writes without pause. ns/lookup is the
// median over short bursts of each reader's, so that a busy machine, which takes the core away between
// bursts, does not show in it. With two readers on two cores the writer takes part of one of them.
func BenchmarkLookup(b *testing.B) {
	for _, readers := range []int{1, 2} {
		for _, writing := range []bool{false, true} {
			b.Run(fmt.Sprintf("readers=%d/writer=%t", readers, writing), func(b *testing.B) { benchmarkLookup(b, readers, writing) })
		}
	}
}

// burst is how many lookups are timed together.
const burst = 200

func benchmarkLookup(b *testing.B, readers int, writing bool) {
	const size = 10_000
	r, err := newRegistry(createDefaultConfig().(*Config), zap.NewNop())
	require.NoError(b, err)
	ids, tokens := make([]string, size), make([]string, size)
	for i := range ids {
		ids[i] = fmt.Sprintf("worker-%05d.zone-a.example", i)
		done, err := r.register(caller{via: viaTCP}, ids[i], registration{Labels: map[string]string{"zone": "a"}})
		require.NoError(b, err)
		tokens[i] = done.Token
	}
	var stop atomic.Bool
	var writer sync.WaitGroup
	if writing {
		writer.Go(func() {
			for i := 0; !stop.Load(); i = (i + 1) % size {
				c := caller{via: viaTCP, Caller: door.Caller{Token: tokens[i]}}
				if i%10 > 0 {
					_, _ = r.heartbeat(c, ids[i], beat{Vitals: map[string]float64{"memory": float64(i)}})
					continue
				}
				_ = r.unregister(c, ids[i], "")
				done, err := r.register(caller{via: viaTCP}, ids[i], registration{})
				if err == nil {
					tokens[i] = done.Token
				}
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	took := make([][]float64, readers)
	var reading sync.WaitGroup
	for n := range readers {
		reading.Go(func() {
			for i := 0; i < b.N; i += burst {
				start := time.Now()
				for j := range burst {
					_, _ = r.Get(ids[((i+j)*7919+n)%size])
				}
				took[n] = append(took[n], float64(time.Since(start).Nanoseconds())/burst)
			}
		})
	}
	reading.Wait()
	b.StopTimer()
	stop.Store(true)
	writer.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(all[len(all)/2], "ns/lookup")
	b.ReportMetric(all[len(all)*99/100], "p99-ns/lookup")
	b.ReportMetric(float64(readers)*1e3/all[len(all)/2], "Mlookups/s")
}
