package flags

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/internal/flagd"
)

// before are the flags that enforcement depends on.
var before = []string{"use_ets_agent_registry", "use_logger_error_context", "use_genserver_telemetry",
	"use_genserver_span_management", "use_ets_sampled_events"}

func allBefore(on bool) map[string]bool {
	values := map[string]bool{}
	for _, name := range before {
		values[name] = on
	}
	return values
}

func TestUnmetDependenciesAreRefusedByName(t *testing.T) {
	e := started(t, nil)
	version := e.state.Load().version
	for _, try := range []func() error{
		func() error { _, err := e.SetAll(map[string]bool{"enforce_no_process_dict": true}, tester); return err },
		func() error { _, _, err := e.setShare("enforce_no_process_dict", 1, tester); return err },
		func() error { _, _, err := e.setVariant("enforce_no_process_dict", "on", tester); return err },
	} {
		err := try()
		for _, name := range before {
			require.ErrorContains(t, err, name)
		}
		require.Equal(t, version, e.state.Load().version, "nothing has changed")
	}
	all := allBefore(true)
	all["enforce_no_process_dict"] = true
	_, err := e.SetAll(all, tester)
	require.NoError(t, err, "in one step with what it depends on")
}

// Turning a flag off turns off what depends on it, in the same step, dependants told with their reason.
func TestDependantsGoFirst(t *testing.T) {
	e := started(t, func(cfg *Config) {
		cfg.Files = []string{fileOf(t, "f.json", `{"flags":{
			"a":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"},
			"b":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"dependsOn":"a"}},
			"c":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","metadata":{"dependsOn":"b"}},
			"d":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"}}}`)}
	})
	version := e.state.Load().version
	_, err := e.SetAll(map[string]bool{"a": false}, tester)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"a": false, "b": false, "c": false, "d": true}, e.States())
	require.Equal(t, version+1, e.state.Load().version, "one step") // and none between
	require.Equal(t, "depends on b: a test", e.state.Load().overrides["c"].By.Reason)
	_, _, err = e.reset("b", tester)
	require.ErrorContains(t, err, `depends on a`)
}

func TestResetAndResetAll(t *testing.T) {
	e := started(t, nil)
	_, err := e.SetAll(allBefore(true), tester)
	require.NoError(t, err)
	_, _, err = e.reset("use_ets_sampled_events", tester)
	require.NoError(t, err)
	require.False(t, e.States()["use_ets_sampled_events"])
	require.True(t, e.States()["use_ets_agent_registry"])
	e.resetAll(tester)
	require.Empty(t, e.state.Load().overrides)
	for name, on := range e.States() {
		require.False(t, on, name)
	}
	_, _, err = e.reset("nobody", tester)
	require.ErrorContains(t, err, "use_ets_agent_registry")
}

func TestRefusals(t *testing.T) {
	e := started(t, func(cfg *Config) { cfg.Files = append(cfg.Files, "testdata/targeting.json") })
	for name, c := range map[string]struct {
		try    func() error
		status int
		want   string
	}{
		"unknown flag":         {func() error { _, err := e.SetAll(map[string]bool{"nobody": true}, tester); return err }, 404, "use_ets_agent_registry"},
		"no boolean":           {func() error { _, err := e.SetAll(map[string]bool{"app-banner": true}, tester); return err }, 400, "internal, public"},
		"wrong type":           {func() error { _, _, err := e.setValue("app-limit", []byte(`"x"`), tester); return err }, 400, "large, small"},
		"no integer":           {func() error { _, _, err := e.setValue("app-limit", []byte(`1.5`), tester); return err }, 400, "integer"},
		"unknown variant":      {func() error { _, _, err := e.setVariant("app-banner", "x", tester); return err }, 400, "internal, public"},
		"no JSON":              {func() error { _, _, err := e.setValue("app-limit", []byte(`x`), tester); return err }, 400, "JSON"},
		"percentage of 101":    {func() error { _, _, err := e.setShare("app-share", 101, tester); return err }, 400, "0 to 100"},
		"percentage of -1":     {func() error { _, _, err := e.setShare("app-share", -1, tester); return err }, 400, "0 to 100"},
		"percentage of a text": {func() error { _, _, err := e.setShare("app-banner", 10, tester); return err }, 400, "not boolean"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.try()
			require.ErrorContains(t, err, c.want)
			var refused *refusal
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.status, refused.status)
		})
	}
	require.Empty(t, e.state.Load().overrides)
}

// Growing the percentage never takes anyone out, and it is flagd's fractional of the same weights.
func TestPercentageIsStickyAndGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, flagKey := rapid.String().Draw(t, "targeting key"), rapid.String().Draw(t, "flag")
		p, q := rapid.Float64Range(0, 100).Draw(t, "p"), rapid.Float64Range(0, 100).Draw(t, "q")
		low, high := min(p, q), max(p, q)
		if within(flagKey, key, low) && !within(flagKey, key, high) {
			t.Fatalf("in at %v %%, out at %v %%", low, high)
		}
		if within(flagKey, key, 0) || !within(flagKey, key, 100) {
			t.Fatal("0 % takes nobody, 100 % everybody")
		}
		whole := float64(int(p))
		if within(flagKey, key, whole) != (flagd.Bucket(flagKey+key, 100) < uint32(whole)) {
			t.Fatalf("%v %% is not flagd's fractional", whole)
		}
	})
}

func TestPercentageInAHandleIsDecidedByTheHostsKey(t *testing.T) {
	in, out := "", ""
	for i := 0; in == "" || out == ""; i++ {
		if key := fmt.Sprintf("host-%d", i); within("use_ets_sampled_events", key, 30) {
			in = key
		} else {
			out = key
		}
	}
	for key, want := range map[string]bool{in: true, out: false} {
		e := started(t, func(cfg *Config) { cfg.HostKey = key })
		h, err := e.Bind("use_ets_sampled_events")
		require.NoError(t, err)
		_, _, err = e.setShare("use_ets_sampled_events", 30, tester)
		require.NoError(t, err)
		require.Equal(t, want, h.Enabled())
	}
}

// Random changes: what depends on a flag that is off is off, and a refused change changes nothing.
func TestDependenciesHold(t *testing.T) {
	e := started(t, nil)
	names := e.state.Load().definitions.Keys()
	rapid.Check(t, func(t *rapid.T) {
		was := e.state.Load()
		values := rapid.MapOfN(rapid.SampledFrom(names), rapid.Bool(), 1, 7).Draw(t, "values")
		if _, err := e.SetAll(values, tester); err != nil {
			if e.state.Load() != was {
				t.Fatal("a refused change has changed something")
			}
			return
		}
		states := e.States()
		for name, on := range values {
			if on && !states[name] {
				t.Fatalf("%s was set true and is not", name)
			}
		}
		if states["enforce_no_process_dict"] {
			for _, name := range before {
				if !states[name] {
					t.Fatalf("enforcement without %s", name)
				}
			}
		}
	})
}

func TestOnChangeIsCalledInOrder(t *testing.T) {
	e := started(t, nil)
	h, err := e.Bind("use_ets_sampled_events")
	require.NoError(t, err)
	const changes = 1_000
	told := make(chan bool, changes)
	stop := h.OnChange(func(on bool) {
		e.States() // no lock is held
		told <- on
	})
	for i := range changes {
		_, err := e.SetAll(map[string]bool{"use_ets_sampled_events": i%2 == 0}, tester)
		require.NoError(t, err)
	}
	for i := range changes {
		require.Equal(t, i%2 == 0, <-told)
	}
	stop()
	e.EmergencyRollback(tester)
	require.Empty(t, told)
}

func TestChangesAreTold(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	set := settings()
	set.Logger = zap.New(core)
	e, err := newExtension(set, configOf(shipped))
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context(), nopHost))
	defer func() { require.NoError(t, e.Shutdown(t.Context())) }()
	_, _, err = e.setShare("use_ets_sampled_events", 100, tester)
	require.NoError(t, err)

	event, err := e.Events().Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "foundation.feature_flag.changed", event.Name)
	delete(event.Attributes, attrSequence)
	require.Equal(t, map[string]any{
		"feature_flag.key":               "use_ets_sampled_events",
		"feature_flag.provider.name":     "foundation-agent",
		"feature_flag.set.id":            "foundation-agent",
		"feature_flag.version":           "1",
		"feature_flag.result.value":      true,
		"feature_flag.result.variant":    "on",
		"feature_flag.result.reason":     "split",
		"feature_flag.previous.value":    false,
		"feature_flag.previous.variant":  "off",
		"feature_flag.change.author":     "tester",
		"feature_flag.change.reason":     "a test",
		"feature_flag.change.cause":      "override",
		"feature_flag.change.percentage": 100.0,
	}, event.Attributes)
	line := logs.FilterMessage("Flag changed").All()[0].ContextMap()
	require.Equal(t, "tester", line["author"])
	require.Equal(t, true, line["value"])
	require.Equal(t, false, line["previous"])

	// The same again is no change of the flag.
	_, _, err = e.setShare("use_ets_sampled_events", 100, tester)
	require.NoError(t, err)
	e.EmergencyRollback(tester)
	event, err = e.Events().Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, "emergency_rollback", event.Attributes["feature_flag.change.cause"])
}
