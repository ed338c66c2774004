package finalize

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var plan = Plan{Extension: "staged_migration", FlagsID: "feature_flags", Flags: []string{"use_ets_sampled_events", "enforce_no_process_dict"}}

const whole = `# What this agent is for.
receivers:
  foundation: # the door
    unix: {endpoint: /run/app.sock}
    enforcement:
      flags: feature_flags
    events_from: [feature_flags, staged_migration]

processors:
  event_dedup:
    # Until the rollout is over.
    flags: feature_flags
    flag: use_ets_sampled_events
    rules: # kept

      - name: "all" # quoted
  event_dedup/other: {flags: feature_flags, flag: another_flag, rules: []}

extensions:
  file_storage: {directory: ./var}
  feature_flags:
    files: [flags.json]
    storage: file_storage
  # The rollout.
  staged_migration:
    flags: feature_flags
    storage: file_storage
    stages:
      - id: "1"
        description: |
          two
          lines
        flags: [use_ets_sampled_events]
  control:
    serve: [feature_flags, 'staged_migration']

service:
  extensions:
    - file_storage
    - feature_flags
    - staged_migration
    - control
  pipelines:
    logs: {receivers: [foundation], processors: [event_dedup], exporters: []}
`

func edit(t *testing.T, plan Plan, texts ...string) ([]File, []string) {
	t.Helper()
	files := make([]File, 0, len(texts))
	for i, text := range texts {
		files = append(files, File{Path: "config/" + string(rune('a'+i)) + ".yaml", Before: text})
	}
	edited, notes, err := Edit(files, plan)
	require.NoError(t, err)
	return edited, notes
}

func TestEverythingElseStays(t *testing.T) {
	text := strings.Replace(whole, "  event_dedup/other: {flags: feature_flags, flag: another_flag, rules: []}\n", "", 1)
	edited, _ := edit(t, plan, text)
	assert.Equal(t, `# What this agent is for.
receivers:
  foundation: # the door
    unix: {endpoint: /run/app.sock}
    enforcement: {}
    events_from: []

processors:
  event_dedup:
    rules: # kept

      - name: "all" # quoted

extensions:
  file_storage: {directory: ./var}
  control:
    serve: []

service:
  extensions:
    - file_storage
    - control
  pipelines:
    logs: {receivers: [foundation], processors: [event_dedup], exporters: []}
`, edited[0].After)
	diff, err := edited[0].Diff()
	require.NoError(t, err)
	assert.Contains(t, diff, "--- a/config/a.yaml\n+++ b/config/a.yaml\n@@")
	assert.Contains(t, diff, "-  # The rollout.\n-  staged_migration:\n")
	assert.Equal(t, edited[0].After, applied(t, text, diff))
	for _, line := range strings.Split(diff, "\n") {
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
			assert.Regexp(t, `(\[\]|\{\})$`, line, "only what lost its last entry is rewritten")
		}
	}
}

// applied is what git apply makes of a text.
func applied(t *testing.T, text, diff string) string {
	t.Helper()
	patch, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: whether the diff applies is not tried")
	}
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "config"), 0o700))
	path := filepath.Join(dir, "config", "a.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	cmd := exec.Command(patch, "apply", "-")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(diff)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	result, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(result)
}

// Flags of others are not the migration's to remove: what they refer to must stay, or the edit is refused.
func TestHandlesOfOtherFlagsStay(t *testing.T) {
	mounted := strings.Replace(whole, "    unix:", "    mount: [feature_flags]\n    unix:", 1)
	edited, notes := edit(t, plan, mounted)
	assert.Contains(t, edited[0].After, "event_dedup/other: {flags: feature_flags, flag: another_flag, rules: []}")
	assert.Contains(t, edited[0].After, "serve: [feature_flags]")
	assert.Contains(t, edited[0].After, "  feature_flags:\n    files:")
	assert.NotContains(t, edited[0].After, "staged_migration")
	require.Len(t, notes, 1)
	assert.Contains(t, notes[0], "feature_flags stays")
}

func TestOverlay(t *testing.T) {
	base := `processors:
  event_dedup: {rules: [{name: all}]}
extensions:
  control: {}
service:
  extensions: [control]
  pipelines: {logs: {receivers: [otlp], processors: [event_dedup]}}
`
	overlay := `processors:
  event_dedup: {flags: feature_flags}
extensions:
  feature_flags: {files: [flags.json]}
  staged_migration: {flags: feature_flags}
  control:
    serve: [feature_flags, staged_migration]
service:
  extensions: [feature_flags, staged_migration, control]
`
	edited, notes := edit(t, plan, base, overlay)
	assert.Equal(t, base, edited[0].After, "what names no flag is left alone")
	assert.Equal(t, "extensions:\n  control:\n    serve: []\nservice:\n  extensions: [control]\n", edited[1].After)
	assert.Empty(t, notes)
	diff, err := edited[0].Diff()
	require.NoError(t, err)
	assert.Empty(t, diff)
}

func TestDanglingReferenceIsRefused(t *testing.T) {
	text := whole + "# x\n"
	text = strings.Replace(text, "event_dedup/other: {flags: feature_flags, flag: another_flag, rules: []}", "event_dedup/other: {flags: [feature_flags]}", 1)
	_, _, err := Edit([]File{{Path: "a.yaml", Before: strings.Replace(text, "flags: [feature_flags]", "notes: {text: [[staged_migration]]}", 1)}}, plan)
	require.NoError(t, err, "items of lists are removed")

	_, _, err = Edit([]File{{Path: "a.yaml", Before: text + "telemetry: staged_migration\n"}}, plan)
	require.ErrorContains(t, err, "still names staged_migration")
}

func TestBrokenFile(t *testing.T) {
	_, _, err := Edit([]File{{Path: "a.yaml", Before: "a: [1"}}, plan)
	require.ErrorContains(t, err, "a.yaml")
	_, _, err = Edit([]File{{Path: "a.yaml", Before: "[]"}}, plan)
	require.ErrorContains(t, err, "no mapping")
	edited, _ := edit(t, plan, "# only a comment\n")
	assert.Equal(t, edited[0].Before, edited[0].After)
}

// Whatever the file, the edit ends, does not panic, and what it returns is YAML.
func FuzzEdit(f *testing.F) {
	f.Add(whole)
	f.Add("extensions: {staged_migration: {flags: feature_flags}}\nservice: {extensions: [staged_migration]}")
	f.Add("processors:\n- flags: feature_flags\n  flag: use_ets_sampled_events\n")
	f.Add("service:\n  extensions: [ 'staged_migration' , \"control\", # why\n    file_storage ]\n")
	f.Fuzz(func(t *testing.T, text string) {
		edited, _, err := Edit([]File{{Path: "a.yaml", Before: text}}, plan)
		if err != nil {
			return
		}
		_, err = parse("a.yaml", edited[0].After)
		require.NoError(t, err)
	})
}
