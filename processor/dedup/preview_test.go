package dedup

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// off is the handle of a flag that is off.
type off struct{}

func (off) Name() string                      { return "f" }
func (off) Enabled() bool                     { return false }
func (off) OnChange(func(bool)) (stop func()) { return func() {} }

func TestPreviewWhileTheFlagIsOff(t *testing.T) {
	next := &sink{}
	r := newRig(t, config(dedupRule(10*time.Second, emitFirstAndSummary)), next, nil, someTime)
	r.flag = off{}
	table := keysTable{r.dedupProcessor}
	r.send(events(5, "e", "before"))
	require.Contains(t, table.Previews()[0].Summary, "ask again")

	r.send(events(5, "e", "k"))
	r.send(events(1, "e", "other"))
	p := table.Previews()[0]
	require.Equal(t, r.cfg.Flag, p.Flag)
	require.Contains(t, p.Summary, "of 6 events in 0s, 4 (66.7 %) would be suppressed; 2 keys")
	require.Len(t, p.Detail, 1)
	for _, detail := range p.Detail {
		tops := detail.(map[string]any)["top_keys"].([]TopKey)
		require.Equal(t, []TopKey{{Event: "e", DedupKey: "k", Events: 4}}, tops)
	}

	r.pass(11 * time.Second)
	r.send(events(1, "e", "k"))
	require.Contains(t, table.Previews()[0].Summary, "of 7 events in 11s, 4 ", "its window is over")

	require.Equal(t, 12.0, next.weight(), "every record has passed as it came")
	keys, _ := r.table.size()
	require.Zero(t, keys, "the table knows nothing of it")

	r.pass(2 * previewFor)
	r.send(events(5, "e", "k"))
	require.Contains(t, table.Previews()[0].Summary, "ask again", "nobody had asked any more")
}
