// This file finds the agent's own Prometheus endpoint: the numbers that a user scrapes are those that
// the guard judges.

package migration

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"

	"github.com/foundation-agent/foundation-agent/internal/selfmetrics"
)

// selfEndpoint is where the agent exposes its own metrics.
type selfEndpoint struct {
	location selfmetrics.Location
	told     chan struct{} // holds a token once the location has been told
}

var _ extensioncapabilities.ConfigSnapshotWatcher = (*migration)(nil)

// NotifyConfigSnapshot implements extensioncapabilities.ConfigSnapshotWatcher.
func (m *migration) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	_ = m.self.location.Tell(snapshot.Effective().ToStringMap()) // a rollout whose signals come from elsewhere needs none
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
