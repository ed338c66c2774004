package flags

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foundation-agent/foundation-agent/internal/flag"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

const sampled, registered = "use_ets_sampled_events", "use_ets_agent_registry"

func backupOf(t *testing.T, e *flagsExtension) []byte {
	var image bytes.Buffer
	_, err := overridesTable{e}.Backup(t.Context(), &image)
	require.NoError(t, err)
	return image.Bytes()
}

func restoration(t *testing.T, e *flagsExtension, image []byte) (operator.Restoration, error) {
	ctx := operator.WithCaller(t.Context(), operator.Caller{Name: "ann", Reason: "as it was"})
	return overridesTable{e}.Restore(ctx, bytes.NewReader(image))
}

func TestRestoreIsAChangeOfEachFlag(t *testing.T) {
	e, stop := withFileStorage(t, t.TempDir(), nil)
	defer stop()
	_, err := e.SetAll(map[string]bool{sampled: true, registered: true}, tester)
	require.NoError(t, err)
	image := backupOf(t, e)
	require.EqualValues(t, 2, overridesTable{e}.Info().Entries)
	require.True(t, overridesTable{e}.Info().Persisted)
	_, err = e.SetAll(map[string]bool{sampled: false, "use_logger_error_context": true}, tester)
	require.NoError(t, err)
	before := e.state.Load()

	r, err := restoration(t, e, image)
	require.NoError(t, err)
	require.Same(t, before, e.state.Load(), "nothing changes before it is applied")
	n, err := r.Apply()
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.ElementsMatch(t, []string{"flag use_ets_sampled_events: off -> on", "flag use_logger_error_context: on -> off"}, r.Changes())
	now := e.state.Load()
	require.True(t, now.enabled(sampled))
	require.False(t, now.enabled("use_logger_error_context"))
	require.Equal(t, flag.Author{Name: "ann (tcp)", Reason: "restore of a backup: as it was"}, now.overrides[sampled].By)
	require.Equal(t, tester, now.overrides[registered].By, "it said so already")

	require.NoError(t, r.Undo())
	require.Equal(t, before.overrides, e.state.Load().overrides)
}

func TestRestoreOfFlagsIsRefused(t *testing.T) {
	e := started(t, nil)
	for image, want := range map[string]string{
		`hello`:                       "invalid character",
		`{"format":9,"overrides":{}}`: "format 9",
		`{"format":1,"overrides":{"nope":{"kind":"value","value":true}}}`:                        `unknown flag "nope"`,
		`{"format":1,"overrides":{"` + sampled + `":{"kind":"value","value":7}}}`:                "does not fit",
		`{"format":1,"overrides":{"` + sampled + `":{"kind":"percentage","percentage":200}}}`:    "does not fit",
		`{"format":1,"overrides":{"enforce_no_process_dict":{"kind":"variant","variant":"??"}}}`: "does not fit",
	} {
		_, err := restoration(t, e, []byte(image))
		require.ErrorContains(t, err, want, image)
		require.Empty(t, e.state.Load().overrides)
	}
}
