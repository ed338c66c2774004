package foundation

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// tokenHeader carries the token that a registration was answered with.
const tokenHeader = "Foundation-Agent-Token"

// Registration describes an agent. All of it may be left out.
type Registration struct {
	Endpoint string            // host:port of the agent's own metrics
	Labels   map[string]string // what it may be found by
	Metadata Metadata          // what else there is to know
	// Lease is how long the agent is taken to live after its last heartbeat. 0 leaves it to the agent.
	Lease time.Duration
	// Vitals, where set, is called before each heartbeat for numbers to send with it.
	Vitals func() map[string]float64
}

// Agent is this process as the agent registry knows it. Heartbeats go out until it is unregistered.
type Agent struct {
	client *Client
	id     string
	reg    Registration

	stop  context.CancelFunc
	ended chan struct{}

	mu      sync.Mutex
	token   string
	lease   time.Duration // 0: no heartbeats are expected
	isKnown bool
}

// Register registers this process under id and keeps it registered: by heartbeats, and anew when the agent
// has forgotten it. An agent that is away is no error: the process is registered when it is there. An
// error is a refusal: an id that another process holds, a registration that cannot be.
func (c *Client) Register(ctx context.Context, id string, reg Registration) (*Agent, error) {
	background, cancel := context.WithCancel(context.Background())
	a := &Agent{client: c, id: id, reg: reg, stop: cancel, ended: make(chan struct{})}
	if c.closed.Load() || !c.agent.CompareAndSwap(nil, a) {
		cancel()
		return nil, errors.New("foundation: the client is closed, or has registered already")
	}

	err := a.register(ctx)
	var refused *Error
	if errors.As(err, &refused) && !refused.temporary() {
		cancel()
		c.agent.Store(nil)
		return nil, err
	}
	if err != nil {
		c.cfg.logger.Warn("The agent is away; registering when it is there", "agent", id, "error", err)
	}
	go a.beat(background)
	return a, nil
}

// agentID is the id that this process registered under, "" where it has none.
func (c *Client) agentID() string {
	if a := c.agent.Load(); a != nil {
		return a.id
	}
	return ""
}

// token proves the agent's id where the kernel does not.
func (c *Client) token() string {
	a := c.agent.Load()
	if a == nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

// ID is the id that the agent registered under.
func (a *Agent) ID() string { return a.id }

// Registered says whether the agent registry knows of this process as far as we know.
func (a *Agent) Registered() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isKnown
}

func (a *Agent) path() string { return "/v1/agents/" + url.PathEscape(a.id) }

func (a *Agent) register(ctx context.Context) error {
	body := struct {
		Endpoint string             `json:"endpoint,omitempty"`
		Labels   map[string]string  `json:"labels,omitempty"`
		Metadata Metadata           `json:"metadata,omitempty"`
		Lease    string             `json:"lease,omitempty"`
		Vitals   map[string]float64 `json:"vitals,omitempty"`
	}{a.reg.Endpoint, a.reg.Labels, a.reg.Metadata, duration(a.reg.Lease), a.vitals()}
	var answer struct {
		Token string
		Agent struct{ Lease string }
	}
	if err := a.client.json(ctx, http.MethodPut, a.path(), body, &answer); err != nil {
		return err
	}
	lease, _ := time.ParseDuration(answer.Agent.Lease)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isKnown, a.lease = true, lease
	if answer.Token != "" {
		a.token = answer.Token
	}
	return nil
}

func (a *Agent) vitals() map[string]float64 {
	if a.reg.Vitals == nil {
		return nil
	}
	return a.reg.Vitals()
}

// idleBeat is how often an agent without a lease asks whether it is still known.
const idleBeat = 30 * time.Second

// beat keeps the agent registered until ctx ends.
func (a *Agent) beat(ctx context.Context) {
	defer close(a.ended)
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 10*time.Second
	for {
		a.mu.Lock()
		known, pause := a.isKnown, a.lease/3
		a.mu.Unlock()
		switch {
		case !known:
			pause = wait.NextBackOff()
		case pause == 0:
			pause = idleBeat
		}
		if !sleep(ctx, pause) {
			return
		}
		if err := a.beatOnce(ctx); err != nil {
			a.mu.Lock()
			a.isKnown = false
			a.mu.Unlock()
		} else {
			wait.Reset()
		}
	}
}

// beatOnce sends a heartbeat, or registers where the agent is not known.
func (a *Agent) beatOnce(ctx context.Context) error {
	if !a.Registered() {
		return a.register(ctx)
	}
	body := struct {
		Vitals map[string]float64 `json:"vitals,omitempty"`
	}{a.vitals()}
	return a.client.json(ctx, http.MethodPost, a.path()+"/heartbeat", body, nil)
}

// ProcessDown tells that a process within this agent has ended, and why: its open spans end too.
func (a *Agent) ProcessDown(ctx context.Context, process, reason string, normal bool) error {
	body := struct {
		Process string `json:"process"`
		Reason  string `json:"reason,omitempty"`
		Normal  bool   `json:"normal"`
	}{process, reason, normal}
	return a.client.json(ctx, http.MethodPost, a.path()+"/down", body, nil)
}

// Unregister says goodbye and ends the heartbeats.
func (a *Agent) Unregister(ctx context.Context, reason string) error {
	a.stop()
	<-a.ended
	defer a.client.agent.CompareAndSwap(a, nil)
	if !a.Registered() {
		return nil
	}
	err := a.client.json(ctx, http.MethodDelete, a.path(), map[string]string{"reason": reason}, nil)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil // it is gone already
	}
	return err
}
