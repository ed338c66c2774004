// This file speaks to the operators' API over its unix socket, once it is sure who listens there.

package commands

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
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// maxAnswer bounds an answer that is held in memory.
const maxAnswer = 256 << 20

// client calls the API behind one unix socket.
type client struct {
	http   *http.Client
	socket string
}

// client returns one for the operators' socket. It refuses a socket that another user serves.
func (o *options) client() *client { return newClient(o.socket, o.trusts) }

// trusts reports whether to speak to an agent that runs as uid: one's own, root's, one allowed by
// --allow-uid, or, for root, anyone's.
func (o *options) trusts(uid uint32) bool {
	return uid == uint32(os.Geteuid()) || uid == 0 || os.Geteuid() == 0 || slices.Contains(o.allowUIDs, uint(uid))
}

func newClient(socket string, trusts func(uid uint32) bool) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, exitf(ExitUnreachable, "no agent answers on %s: %w", socket, err)
		}
		peer, ok := unixsocket.PeerOf(unixsocket.ConnContext(ctx, conn))
		if !ok || !trusts(peer.UID) {
			return nil, errors.Join(exitf(ExitUnreachable, "%s is served by uid %d: not spoken to (--allow-uid %d trusts it)", socket, peer.UID, peer.UID), conn.Close())
		}
		return conn, nil
	}
	return &client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}, socket: socket}
}

// request is one call of the API.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   any // sent as JSON

	stream      io.Reader // sent as it is, where body is nil
	contentType string    // of stream
}

// params are the query of a change made by w.
func (w *who) params() url.Values {
	return url.Values{operator.ParamAuthor: {w.author}, operator.ParamReason: {w.reason}}
}

// get fetches path as JSON.
func (o *options) get(cmd *cobra.Command, path string, query url.Values) (json.RawMessage, error) {
	return o.call(cmd, request{method: http.MethodGet, path: path, query: query})
}

// call makes one call within --timeout.
func (o *options) call(cmd *cobra.Command, req request) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	return o.client().call(ctx, req)
}

// call returns the JSON answer. A refusal is an error with the agent's own words.
func (c *client) call(ctx context.Context, req request) (json.RawMessage, error) {
	resp, err := c.send(ctx, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: the answer was cut off: %w", c.socket, err)
	}
	return body, nil
}

// send returns the answer with its body still to be read (and closed), for those that stream.
func (c *client) send(ctx context.Context, req request) (*http.Response, error) {
	body, contentType := req.stream, req.contentType
	if req.body != nil {
		encoded, err := json.Marshal(req.body)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(encoded), "application/json"
	}
	r, err := http.NewRequestWithContext(ctx, req.method, "http://agent"+req.path+"?"+req.query.Encode(), body)
	if err != nil {
		return nil, err
	}
	if req.header != nil {
		r.Header = req.header
	}
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the URL's host is made up
		}
		return nil, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// refusal is the error that an answer carries.
func refusal(resp *http.Response) error {
	code := ExitRefused
	if resp.StatusCode >= http.StatusInternalServerError {
		code = ExitFailure
	}
	var answer struct {
		Error door.Error `json:"error"`
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error.Message == "" {
		return exitf(code, "the agent answered %s", resp.Status)
	}
	return exitf(code, "%s (%s)", clean(answer.Error.Message), clean(answer.Error.Code))
}
