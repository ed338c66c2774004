// This file finds the agent's own Prometheus endpoint: the numbers that a user scrapes are those that
// the guard judges.

package migration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"

	"github.com/foundation-agent/foundation-agent/internal/selfmetrics"
)

// selfEndpoint is where the agent exposes its own metrics. It is known once the collector has told its
// configuration, which is after the extensions have started.
type selfEndpoint struct {
	url  atomic.Pointer[string]
	err  atomic.Pointer[error]
	told chan struct{} // holds a token once the configuration has been told
}

var errNotToldYet = errors.New("the agent is still starting: where its own metrics are is not known yet")

func (s *selfEndpoint) URL() (string, error) {
	if url := s.url.Load(); url != nil {
		return *url, nil
	}
	if err := s.err.Load(); err != nil {
		return "", *err
	}
	return "", errNotToldYet
}

var _ extensioncapabilities.ConfigSnapshotWatcher = (*migration)(nil)

// NotifyConfigSnapshot implements extensioncapabilities.ConfigSnapshotWatcher.
func (m *migration) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	url, err := selfmetrics.Endpoint(snapshot.Effective().ToStringMap())
	if err != nil { // a rollout whose signals come from elsewhere needs no endpoint here
		m.self.err.Store(&err)
	} else {
		m.self.url.Store(&url)
	}
	m.self.told <- struct{}{}
	return nil
}

// httpGet fetches a URL for its status alone.
func httpGet(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return errors.Join(fmt.Errorf("it answered %s", resp.Status), resp.Body.Close())
	}
	return resp.Body.Close()
}
