package chaos

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// pressureFaults are too much of something, or time that does not pass as it should.
var pressureFaults = []fault{
	{"memory pressure", "memory_limiter refuses for now; nothing accepted is lost", func(t *trial) []account {
		t.with("processors: {memory_limiter: {check_interval: 100ms, limit_mib: 72, spike_limit_mib: 16}, event_dedup: {max_bytes: 16777216}}\n" +
			"extensions: {open_spans: {max_mib: 32}}\n")
		t.run()
		flood, err := load.Logs("flood", load.LogShape{Event: "flood.of.big", Batch: 100, Extra: 8, ExtraBytes: 1024, Key: load.Unique})
		require.NoError(t, err)
		sent, err := load.Run(t.Context(), flood, load.Options{Endpoint: t.otlp, Senders: 8, Records: 60_000, Retry: true})
		require.NoError(t, err)
		t.note("60,000 records of 8 KiB: %d requests refused for now, all accepted in the end; resident %d MiB", sent.Retries, t.residentMiB())
		require.Equal(t, 60_000, sent.Accepted)
		accounts := t.settle()
		t.until("the whole flood should arrive", func() bool {
			return int(t.backend.Logs().Event("flood.of.big").Weight) >= sent.Accepted
		})
		return append(accounts, t.floodAccount(sent))
	}},
	{"a queue that is full", "senders wait or are refused for now; nothing accepted is lost", func(t *trial) []account {
		t.with("exporters: {otlp_grpc: {sending_queue: {queue_size: 20}}}\n")
		t.run()
		time.Sleep(window)
		t.backend.Be(backend.Stalls)
		time.Sleep(5 * time.Second)
		t.backend.Be(backend.Accepts)
		t.load.flows(t)
		t.note("20 requests of queue, a backend that stalled for 5 s")
		return t.settle()
	}},
	{"a frozen agent whose leases all seem expired", "lease time counts only while the agent could read: nobody is declared dead", func(t *trial) []account {
		t.run()
		const many, lease = 200, 3 * time.Second
		stop := t.beat(t.register(many, lease), lease/4)
		t.agent.Signal(syscall.SIGSTOP)
		time.Sleep(lease + lease/2)
		t.agent.Signal(syscall.SIGCONT)
		time.Sleep(lease)
		require.Zero(t, t.agent.Metric("otelcol_agent_registry_deaths"), "deaths")
		require.EqualValues(t, many, t.agent.Metric("otelcol_agent_registry_entries"))
		stop()
		t.note("%d agents of a lease of %v, frozen for %v: none was declared dead", many, lease, lease+lease/2)
		t.until("without beats they should go down", func() bool {
			return t.agent.Metric("otelcol_agent_registry_deaths") == many
		})
		t.note("when the beats really ended, all %d were", many)
		return t.settle()
	}},
	{"senders whose clocks jump", "records are taken and counted whatever their time says", func(t *trial) []account {
		t.run()
		for _, at := range []time.Time{time.Now().Add(23 * time.Hour), time.Now(), time.Now().Add(-48 * time.Hour)} {
			for range 100 {
				require.Equal(t, http.StatusAccepted, t.emit(fmt.Sprintf(`{"name":"clock.jumped","timestamp":%d,"dedup_key":"k"}`, at.UnixNano())))
			}
		}
		t.until("300 events of three ages should be accounted for", func() bool {
			return t.backend.Logs().Event("clock.jumped").Weight == 300
		})
		t.note("300 events of now, a day ahead and two days behind in one window: weight 300")
		return t.settle()
	}},
	{"the agent's own clock jumps (in process)", "windows, leases and soaks count time that passed, not the clock; the account holds over a clock set back", func(t *trial) []account {
		// A process cannot be given a wall clock of its own, so the components' own tests move theirs.
		const jumps = "^(TestAccountHolds|TestLeaseClockCountsOnlyTimeInWhichWeRan|TestSoakCountsObservedTimeAlone)$"
		tests := exec.Command("go", "test", "-count=1", "-v", "-run", jumps, "./processor/dedup", "./extension/registry", "./extension/migration")
		tests.Dir = agenttest.Root()
		said, err := tests.CombinedOutput()
		require.NoError(t, err, string(said))
		passed := bytes.Count(said, []byte("\n--- PASS"))
		require.GreaterOrEqual(t, passed, 3, string(said))
		t.note("%d tests of event_dedup, agent_registry and staged_migration passed", passed)
		return nil
	}},
}

// floodAccount is the account of records that a trial sent itself.
func (t *trial) floodAccount(sent load.Result) account {
	at := t.backend.Logs().Event("flood.of.big")
	a := account{Kind: "flood", In: sent.Accepted, Unknown: sent.Unknown, Refused: sent.Refused, Retries: sent.Retries,
		Out: at.Records, Repeats: at.Repeats, Accounted: int(at.Weight + 0.5), Suppressed: int(at.Weight+0.5) - at.Firsts, Wrong: at.Wrong}
	require.True(t, a.balanced(), a)
	return a
}
