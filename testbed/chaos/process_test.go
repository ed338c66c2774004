package chaos

import (
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

// sifted has the OTLP receiver take repeats out of requests.
const sifted = `
receivers: {otlp: {protocols: {grpc: {middlewares: [{id: wire_dedup}]}}}}
processors: {event_dedup: {wire: wire_dedup}}
extensions: {wire_dedup: }
service: {extensions: [file_storage, health_check, agent_registry, open_spans, control, pprof, wire_dedup]}
`

// processFaults happen to the agent's process.
var processFaults = []fault{
	{"no fault", "every record is accounted for", func(t *trial) []account {
		t.run()
		time.Sleep(2 * window)
		return t.settle()
	}},
	{"kill -9", "what was acknowledged longer ago than the storage interval (200 ms) survives", func(t *trial) []account {
		t.run()
		for range times(20) {
			time.Sleep(window + window/3)
			t.kill()
			t.start()
			t.load.flows(t)
		}
		t.note("%d kills under load", times(20))
		return t.settle()
	}},
	{"kill -9 with wire_dedup", "the same where wire_dedup takes repeats out before they are decoded, and while the backend refuses", func(t *trial) []account {
		t.with(sifted)
		t.run()
		for range times(5) {
			time.Sleep(window + window/3)
			t.note("%.0f repeats were not decoded", t.agent.Metric("otelcol_wire_dedup_records"))
			t.kill()
			t.backend.Be(backend.Refuses)
			t.start()
			t.load.flows(t)
			t.backend.Be(backend.Accepts)
		}
		return t.settle()
	}},
	{"SIGTERM and restart", "nothing is lost, windows continue", func(t *trial) []account {
		t.run()
		for range times(5) {
			time.Sleep(window + window/3)
			t.agent.Stop()
			t.start()
			t.load.flows(t)
		}
		t.note("%d restarts under load", times(5))
		return t.settle()
	}},
	{"SIGSTOP and SIGCONT", "senders wait, nothing is lost", func(t *trial) []account {
		t.run()
		time.Sleep(window)
		t.agent.Signal(syscall.SIGSTOP)
		time.Sleep(3 * time.Second)
		t.agent.Signal(syscall.SIGCONT)
		t.load.flows(t)
		t.note("frozen for 3 s")
		return t.settle()
	}},
	{"two agents on one state directory", "the second waits visibly, and goes on when the first ends", func(t *trial) []account {
		t.run()
		time.Sleep(window)
		second := agenttest.Launch(t, t.options)
		second.WaitForOutput("Waiting: the state directory")
		require.False(t, second.Exited())
		t.note("the second said that it waits")
		t.agent.Stop()
		second.WaitReady()
		t.note("and served when the first had ended")
		t.agent = second
		t.load.flows(t)
		return t.settle()
	}},
	{"reload with a good configuration", "SIGHUP promises what SIGTERM does", func(t *trial) []account {
		t.run()
		for range times(5) {
			time.Sleep(window)
			t.agent.Signal(syscall.SIGHUP)
			time.Sleep(window)
			t.load.flows(t)
		}
		t.note("%d reloads under load", times(5))
		return t.settle()
	}},
	{"reload with a bad configuration", "the collector ends with an error that names it; state is kept for the next start", func(t *trial) []account {
		config := t.file("extra.yaml", "processors: {}\n")
		t.options.Args = append(t.options.Args, "--config", config)
		t.run()
		time.Sleep(window / 2)
		t.rewrite(config, "processors: {event_dedup: {max_keys: -1}}\n")
		t.agent.Signal(syscall.SIGHUP)
		t.until("the agent should end", t.agent.Exited)
		require.Contains(t, t.agent.Output(), "max_keys")
		t.note("ended, naming the key")
		t.rewrite(config, "processors: {}\n")
		t.start()
		t.load.flows(t)
		return t.settle()
	}},
}
