package chaos

import (
	"time"

	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

// backendFaults happen behind the agent.
var backendFaults = []fault{
	{"a backend that refuses", "the queue holds; nothing is lost", moody(backend.Refuses, 3*time.Second)},
	{"a backend that stalls", "requests time out and are sent again; nothing is lost", moody(backend.Stalls, 5*time.Second)},
	{"a backend that answers slowly", "the queue holds; senders are slowed down when it is full", moody(backend.Dawdles, 5*time.Second)},
	{"a backend that takes and loses the acknowledgement", "repeats carry the same identities, so a reader drops them", moody(backend.Forgets, 2*time.Second)},
}

// moody puts the backend into a mood for a while, under load.
func moody(m backend.Mood, lasts time.Duration) func(t *trial) []account {
	return func(t *trial) []account {
		t.run()
		time.Sleep(window)
		t.backend.Be(m)
		time.Sleep(lasts * time.Duration(times(3)))
		t.backend.Be(backend.Accepts)
		t.load.flows(t)
		t.note("for %v", lasts*time.Duration(times(3)))
		return t.settle()
	}
}
