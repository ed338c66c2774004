package soak

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// spansEach is how many spans an agent has open when it is killed.
const spansEach = 5

// The environment that makes this test binary an agent.
const (
	agentEnv  = "SOAK_AGENT"
	socketEnv = "SOAK_SOCKET"
)

func TestMain(m *testing.M) {
	if id := os.Getenv(agentEnv); id != "" {
		if err := live(id, os.Getenv(socketEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// live is an application: it registers, opens spans within each other, says that it is ready, and waits for its end.
func live(id, socket string) error {
	client := agenttest.UnixClient(socket)
	call := func(method, path, body string) error {
		req, err := http.NewRequest(method, "http://agent"+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
		}
		return err
	}
	if err := call(http.MethodPut, "/v1/agents/"+id, "{}"); err != nil {
		return err
	}
	for n := range spansEach {
		body := fmt.Sprintf(`{"name":"step %d","agent_id":%q,"process":"main","attributes":{"error_context.step":"%d"}}`, n, id, n)
		if err := call(http.MethodPost, "/v1/spans/start", body); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	time.Sleep(time.Hour)
	return nil
}

// remembered is how many deaths the shipped agent remembers. At the pace of the run they would fill for longer than
// most runs last, and look like growth.
const remembered = 1024

// killer starts agents and kills them one after another, until halt is closed.
type killer struct {
	socket string
	killed int
}

func (k *killer) run(halt <-chan struct{}, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := k.one(fmt.Sprintf("soak-%d", k.killed)); err != nil {
				return err
			}
			k.killed++
		case <-halt:
			return nil
		}
	}
}

// fill kills as many agents as are remembered.
func (k *killer) fill() error {
	for ; k.killed < remembered; k.killed++ {
		if err := k.one(fmt.Sprintf("soak-%d", k.killed)); err != nil {
			return err
		}
	}
	return nil
}

func (k *killer) one(id string) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), agentEnv+"="+id, socketEnv+"="+k.socket)
	var problems strings.Builder
	cmd.Stderr = &problems
	said, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = io.ReadFull(said, make([]byte, len("ready\n")))
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed
	if err != nil {
		return fmt.Errorf("agent %s: %w: %s", id, err, problems.String())
	}
	return nil
}
