package foundation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Client talks to one agent. Safe for concurrent use. Close it.
type Client struct {
	cfg  config
	http *http.Client
	base string // "http://host:port", without a slash at the end

	events *sender

	agent  atomic.Pointer[Agent] // that this process registered as; nil when none
	closed atomic.Bool
}

// New returns a client of the agent at endpoint: "unix:/path/of/app.sock", or "http://localhost:4327". It
// does not connect: an agent that is away now is found when it is there.
func New(endpoint string, options ...Option) (*Client, error) {
	c := &Client{cfg: defaultConfig()}
	for _, option := range options {
		option(&c.cfg)
	}
	if err := c.cfg.validate(); err != nil {
		return nil, err
	}
	transport, base, err := dial(endpoint)
	if err != nil {
		return nil, err
	}
	if c.cfg.transport != nil {
		transport = c.cfg.transport
	}
	c.base, c.http = base, &http.Client{Transport: transport, Timeout: c.cfg.requestTimeout}
	c.events = startSender(c)
	return c, nil
}

// dial returns how to reach endpoint, and what its URLs begin with.
func dial(endpoint string) (http.RoundTripper, string, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	if path, ok := strings.CutPrefix(endpoint, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return nil, "", fmt.Errorf("endpoint %q: no path; give \"unix:/path/of/app.sock\"", endpoint)
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return transport, "http://localhost", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, "", fmt.Errorf("endpoint %q is not allowed; give \"unix:/path/of/app.sock\" or \"http://localhost:4327\"", endpoint)
	}
	return transport, strings.TrimSuffix(endpoint, "/"), nil
}

// Close sends what is queued, as long as ctx allows, and says goodbye where the process registered. The
// error says how many events were lost. Events emitted from now on are dropped.
func (c *Client) Close(ctx context.Context) error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	err := c.events.close(ctx)
	if agent := c.agent.Load(); agent != nil {
		err = errors.Join(err, agent.Unregister(ctx, "closed"))
	}
	c.http.CloseIdleConnections()
	return err
}

// Error is an answer of the agent that is no success.
type Error struct {
	Status     int           // of HTTP
	Code       string        // stable: "invalid_field"
	Message    string        // what was wrong and what to do about it
	RetryAfter time.Duration // 0 where the agent does not say
	details    json.RawMessage
}

func (e *Error) Error() string {
	return fmt.Sprintf("agent answered %d %s: %s", e.Status, e.Code, e.Message)
}

// temporary says that the same request may be taken later.
func (e *Error) temporary() bool {
	return e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout || e.Status >= http.StatusInternalServerError
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// call sends body (nil for none) as media and reads the answer into result (nil for none). The error is an
// *Error where the agent answered.
func (c *Client) call(ctx context.Context, method, path, media string, body []byte, result any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", media)
	}
	if token := c.token(); token != "" {
		req.Header.Set(tokenHeader, token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return errorOf(res, answer)
	}
	if result == nil || len(answer) == 0 {
		return nil
	}
	return json.Unmarshal(answer, result)
}

func errorOf(res *http.Response, answer []byte) *Error {
	var body struct {
		Error struct {
			Code, Message string
			Details       json.RawMessage
		}
	}
	if json.Unmarshal(answer, &body) != nil || body.Error.Code == "" {
		body.Error.Code, body.Error.Message = "unexpected_answer", res.Status
	}
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
	return &Error{Status: res.StatusCode, Code: body.Error.Code, Message: body.Error.Message,
		RetryAfter: time.Duration(seconds) * time.Second, details: body.Error.Details}
}

// json calls with a JSON body.
func (c *Client) json(ctx context.Context, method, path string, body, result any) error {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return err
		}
	}
	return c.call(ctx, method, path, "application/json", encoded, result)
}
