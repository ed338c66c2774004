// This file runs the components' self-checks.

package control

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// paramComponent names the components to check; it may be given several times.
const paramComponent = "component"

// checks serves /v1/diagnostics.
type checks struct {
	timeout  time.Duration // of each check
	registry *registry
	agent    string
	metrics  *ownMetrics // for the pictures
	sampler  *sampler    // likewise

	running sync.Mutex     // one run at a time: checks are timed
	left    sync.WaitGroup // checks under way, also those that were given up
}

func newChecks(timeout time.Duration, r *registry, build component.BuildInfo, m *ownMetrics, s *sampler) *checks {
	return &checks{timeout: timeout, registry: r, agent: build.Command + " " + build.Version, metrics: m, sampler: s}
}

func (c *checks) routes() []operator.Route {
	return []operator.Route{
		{Pattern: "GET /v1/diagnostics", Handler: c.serveList},
		{Pattern: "POST /v1/diagnostics/run", Handler: c.serveRun},
	}
}

func (c *checks) serveList(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	for _, check := range c.registry.listChecks() {
		names = append(names, check.Name())
	}
	door.WriteJSON(w, http.StatusOK, map[string][]string{"components": names})
}

func (c *checks) serveRun(w http.ResponseWriter, r *http.Request) {
	result, err := c.run(r.Context(), r.URL.Query()[paramComponent])
	if err != nil {
		door.WriteError(w, http.StatusNotFound, door.Error{Code: "unknown_component", Message: err.Error()})
		return
	}
	door.WriteJSON(w, http.StatusOK, result)
}

// run runs the checks of these names one after another, or all where none is given.
func (c *checks) run(ctx context.Context, names []string) (operator.Diagnostics, error) {
	chosen, err := c.choose(names)
	if err != nil {
		return operator.Diagnostics{}, err
	}
	c.running.Lock()
	defer c.running.Unlock()
	result := operator.Diagnostics{OK: true, At: time.Now().UTC(), Agent: c.agent, Checks: []operator.CheckReport{}}
	for _, check := range chosen {
		report := c.runOne(ctx, check)
		result.OK = result.OK && report.OK
		result.Checks = append(result.Checks, report)
	}
	result.Tables = viewsOf(c.registry.listTables())
	result.Samples = c.sampler.list()
	result.Distributions = c.metrics.distributions(ctx)
	return result, nil
}

func (c *checks) choose(names []string) ([]operator.Check, error) {
	all := c.registry.listChecks()
	if len(names) == 0 {
		return all, nil
	}
	known := make([]string, 0, len(all))
	for _, check := range all {
		known = append(known, check.Name())
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no component %q checks itself; there are: %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(check operator.Check) bool { return !slices.Contains(names, check.Name()) }), nil
}

// runOne runs one check, and gives it up when it does not end in time.
func (c *checks) runOne(ctx context.Context, check operator.Check) operator.CheckReport {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	start := time.Now()
	done := make(chan operator.CheckResult, 1)
	c.left.Go(func() {
		done <- check.Run(ctx)
	})
	report := operator.CheckReport{Name: check.Name()}
	select {
	case report.CheckResult = <-done:
	case <-ctx.Done():
		report.Steps = []operator.CheckStep{{Name: "answer", Detail: fmt.Sprintf("the check did not end within %s", c.timeout)}}
	}
	report.Took = time.Since(start)
	return report
}

// wait returns when no check is under way.
func (c *checks) wait() { c.left.Wait() }
