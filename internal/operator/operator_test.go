package operator

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/foundation-agent/foundation-agent/internal/attr"
)

func TestClaimsAreBoundedAndClean(t *testing.T) {
	query := url.Values{ParamAuthor: {"ann\x1b[31m\u202e\n"}, ParamReason: {strings.Repeat("ä", 5000)}}
	caller := CallerOf(httptest.NewRequest(http.MethodPost, "/?"+query.Encode(), nil))
	require.Equal(t, "ann[31m", caller.Name)
	require.Equal(t, strings.Repeat("ä", maxClaim), caller.Reason)
	require.False(t, caller.Local)
	require.Equal(t, "ann[31m (tcp)", caller.Author().Name)
}

func logsOf(bodies ...string) plog.Logs {
	ld := plog.NewLogs()
	scope := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, body := range bodies {
		scope.LogRecords().AppendEmpty().Body().SetStr(body)
	}
	return ld
}

func TestTapShowsWhatMatchesWhileSomebodyLooks(t *testing.T) {
	tap := NewTap("span_lifecycle")
	records := make(chan TapRecord, 10)
	var skipped atomic.Uint64
	stop := tap.Watch(regexp.MustCompile("two|key=three"), records, &skipped)
	ld := logsOf("one", "two", "three")
	all := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	all.At(2).Attributes().PutStr("key", "three")
	tap.Observe(ld)
	require.Len(t, records, 2)
	require.Equal(t, "two", (<-records).Body)
	require.Equal(t, "three", (<-records).Attributes["key"])

	all.At(1).Attributes().PutBool(attr.Synthetic, true)
	tap.Observe(ld)
	require.Len(t, records, 1, "what diagnostics made is not shown")
	<-records
	stop()
	tap.Observe(ld)
	require.Empty(t, records)
	require.Nil(t, tap.watchers.Load(), "nobody looks: one atomic load again")
}

func TestSlowWatcherSkipsAndIsTold(t *testing.T) {
	tap := NewTap("t")
	var skipped atomic.Uint64
	defer tap.Watch(nil, make(chan TapRecord), &skipped)() // nobody reads
	tap.Observe(logsOf("a", "b"))
	require.Equal(t, uint64(2), skipped.Load())
}

func BenchmarkTapWithoutWatcher(b *testing.B) {
	tap, ld := NewTap("t"), logsOf("a")
	for b.Loop() {
		tap.Observe(ld)
	}
}
