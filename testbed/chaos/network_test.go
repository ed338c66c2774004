package chaos

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/monitor"
)

// networkFaults happen before the agent.
var networkFaults = []fault{
	{"half-open connections", "they cost a descriptor each and nobody waits for them", func(t *trial) []account {
		t.run()
		for _, address := range []string{t.otlp, t.agent.OTLPHTTP, t.agent.Door} {
			for range 100 {
				t.connect(address, "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n")
			}
		}
		t.note("300 connections that began a request and fell silent")
		t.load.flows(t)
		time.Sleep(window)
		return t.settle()
	}},
	{"10,000 connections", "all others are still served", func(t *trial) []account {
		t.run()
		const many = 10_000
		before := t.residentMiB()
		for i := range many {
			t.connect([]string{t.otlp, t.agent.Door}[i%2], "")
		}
		t.load.flows(t)
		t.note("%d connections held; resident %d MiB before, %d MiB with them", many, before, t.residentMiB())
		return t.settle()
	}},
	{"no file descriptors left", "the agent waits for one, serves who is connected, and recovers", func(t *trial) []account {
		t.run()
		open, err := monitor.Descriptors(t.agent.PID())
		require.NoError(t, err)
		var former unix.Rlimit
		require.NoError(t, unix.Prlimit(t.agent.PID(), unix.RLIMIT_NOFILE, nil, &former))
		limit := unix.Rlimit{Cur: uint64(open + 10), Max: former.Max}
		require.NoError(t, unix.Prlimit(t.agent.PID(), unix.RLIMIT_NOFILE, &limit, nil))
		var held []net.Conn
		for range 50 {
			held = append(held, t.connect(t.otlp, ""))
		}
		time.Sleep(window)
		require.False(t, t.agent.Exited())
		t.load.flows(t)
		t.note("50 connections for 10 descriptors; who was connected was served")
		for _, c := range held {
			require.NoError(t, c.Close())
		}
		require.NoError(t, unix.Prlimit(t.agent.PID(), unix.RLIMIT_NOFILE, &former, nil))
		t.until("new connections should be served again", func() bool { return t.emit(`{"name":"after.it"}`) == http.StatusAccepted })
		t.note("new ones were served when there were descriptors again")
		return t.settle()
	}},
	{"oversized and malformed requests", "each is refused with its own error, and nothing else is lost", func(t *trial) []account {
		t.run()
		noise := make([]byte, 64<<10)
		_, err := rand.Read(noise)
		require.NoError(t, err)
		// The stock receiver answers 500 to JSON that is not UTF-8: it cannot put its own error message into words.
		printable := base64.StdEncoding.AppendEncode(nil, noise)
		huge := bytes.Repeat([]byte("x"), 64<<20)
		answers := map[string]int{
			"noise as OTLP/HTTP":         t.post(t.agent.OTLPHTTP, "/v1/logs", "application/x-protobuf", noise),
			"noise as OTLP/JSON":         t.post(t.agent.OTLPHTTP, "/v1/traces", "application/json", printable),
			"64 MiB of OTLP/HTTP":        t.post(t.agent.OTLPHTTP, "/v1/logs", "application/x-protobuf", huge),
			"noise as an event":          t.post(t.agent.Door, "/v1/events", "application/json", noise),
			"64 MiB as an event":         t.post(t.agent.Door, "/v1/events", "application/json", huge),
			"an event of the wrong type": t.post(t.agent.Door, "/v1/events", "text/plain", []byte("hello")),
			"an event without a name":    t.post(t.agent.Door, "/v1/events", "application/json", []byte(`{}`)),
			"JSON 100,000 levels deep":   t.post(t.agent.Door, "/v1/events", "application/json", []byte(`{"name":"a","metadata":`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_001))),
		}
		for what, status := range answers {
			require.GreaterOrEqual(t, status, 400, what)
			require.Less(t, status, 500, what)
		}
		raw := t.connect(t.otlp, string(noise)) // noise as HTTP/2
		_, _ = io.Copy(io.Discard, raw)         // the agent hangs up
		status, answer := t.agent.Post("/v1/events", "application/x-ndjson", `{"name":"good.one"}`+"\n{broken\n"+`{"name":"good.two"}`+"\n")
		require.Equal(t, http.StatusAccepted, status)
		require.Contains(t, answer, `"accepted":2`)
		t.until("the good lines of a bad request should arrive", func() bool {
			return t.backend.Logs().Event("good.one").Weight == 1 && t.backend.Logs().Event("good.two").Weight == 1
		})
		t.note("%d bad requests, each answered 4xx; 2 of 3 NDJSON lines taken, the broken one named", len(answers))
		require.False(t, t.agent.Exited())
		t.load.flows(t)
		return t.settle()
	}},
}

// connect opens a connection, sends text, and leaves it open until the trial ends.
func (t *trial) connect(address, text string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // it may be closed by then
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	return c
}

// post answers the status of a request, or 499 where the agent hung up before it had read all of it.
func (t *trial) post(address, path, contentType string, body []byte) int {
	resp, err := http.Post("http://"+address+path, contentType, bytes.NewReader(body))
	if err != nil {
		return 499
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// emit sends one event by the applications' socket, on a connection of its own.
func (t *trial) emit(event string) int {
	client := agenttest.UnixClient(t.agent.Socket())
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://agent/v1/events", "application/json", strings.NewReader(event))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (t *trial) residentMiB() int64 {
	m, err := monitor.MemoryOf(t.agent.PID())
	require.NoError(t, err)
	return m.Resident >> 20
}
