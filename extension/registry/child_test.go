// This file starts real processes that register as real agents do, and really die.

package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

const childEnv = "AGENT_REGISTRY_TEST_CHILD"

// childSpec is what a child does: register, say what was answered, and end as its input says.
type childSpec struct {
	Socket string
	ID     string
	Body   map[string]any
	OpAMP  *opampSpec // it is an OpAMP client instead
	// Metrics lets it serve metrics, and announce where.
	Metrics bool
}

const scrapedMetric = "agent_registry_test_scrapes"

type childAnswer struct {
	Status int
	Body   json.RawMessage
}

// runAsChild is called by TestMain. In a process that a test started it never returns.
func runAsChild() {
	if spec := os.Getenv(childEnv); spec != "" {
		os.Exit(runChild(spec))
	}
}

// runChild is main of a child. Each line of its input is a command: "exit N" or "PATH BODY" to post.
func runChild(text string) int {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 97
	}
	if spec.OpAMP != nil {
		return runOpAMPChild(*spec.OpAMP)
	}
	if spec.Metrics {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 94
		}
		spec.Body["endpoint"] = l.Addr().String()
		var scrapes atomic.Int64
		go func() {
			_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // until the process ends
				w.Header().Set("Content-Type", "text/plain; version=0.0.4")
				fmt.Fprintf(w, "# TYPE %s counter\n%s %d\n", scrapedMetric, scrapedMetric, scrapes.Add(1))
			}))
		}()
	}
	client := unixClient(spec.Socket)
	body, _ := json.Marshal(spec.Body)
	answerWith(call(client, http.MethodPut, "/v1/agents/"+spec.ID, body))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var code int
		if n, _ := fmt.Sscanf(in.Text(), "exit %d", &code); n == 1 {
			return code
		}
		method, rest, _ := bytes.Cut(in.Bytes(), []byte(" "))
		path, body, _ := bytes.Cut(rest, []byte(" "))
		answerWith(call(client, string(method), string(path), body))
	}
	return 0
}

func answerWith(a childAnswer) { _ = json.NewEncoder(os.Stdout).Encode(a) }

func call(client *http.Client, method, path string, body []byte) childAnswer {
	req, err := http.NewRequest(method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return childAnswer{Body: mustJSON(err.Error())}
	}
	resp, err := client.Do(req)
	if err != nil {
		return childAnswer{Body: mustJSON(err.Error())}
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if len(b) == 0 {
		b = []byte("null")
	}
	return childAnswer{Status: resp.StatusCode, Body: b}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func unixClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
}

// child is a process that registered.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
	// registered is the answer to its registration.
	registered childAnswer
}

func startChild(t *testing.T, socket, id string, body map[string]any) *child {
	t.Helper()
	c := launchChild(t, childSpec{Socket: socket, ID: id, Body: body})
	require.NoError(t, c.out.Decode(&c.registered))
	return c
}

func launchChild(t *testing.T, spec childSpec) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(mustJSON(spec)))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &child{cmd: cmd, in: in, out: json.NewDecoder(out)}
}

func (c *child) pid() int32 { return int32(c.cmd.Process.Pid) }

// call lets the child do a request.
func (c *child) call(t *testing.T, method, path, body string) childAnswer {
	t.Helper()
	_, err := fmt.Fprintf(c.in, "%s %s %s\n", method, path, body)
	require.NoError(t, err)
	var a childAnswer
	require.NoError(t, c.out.Decode(&a))
	return a
}

func (a childAnswer) code(t *testing.T) string {
	t.Helper()
	var e struct{ Error door.Error }
	require.NoError(t, json.Unmarshal(a.Body, &e), string(a.Body))
	return e.Error.Code
}
