// This file shows the registry at the operators' door: its table, which can be backed up, restored and
// mended, and its self-check.

package registry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// table is the registry as operators see tables.
type table struct {
	*registry
	id component.ID
}

var (
	_ operator.Table     = table{}
	_ operator.Backuper  = table{}
	_ operator.Rebuilder = table{}
	_ operator.Cleaner   = table{}
	_ operator.Ensurer   = table{}
	_ operator.Previewer = table{}
)

// OperatorTables implements operator.Tables.
func (x *agentRegistry) OperatorTables() []operator.Table {
	return []operator.Table{table{x.registry, x.set.ID}}
}

// Name implements operator.Table.
func (t table) Name() string { return t.id.String() + "/agents" }

// Info implements operator.Table.
func (t table) Info() operator.TableInfo {
	i := t.info()
	return operator.TableInfo{
		Entries: int64(i.Entries), Bytes: i.Bytes, Persisted: i.Persisted,
		MaxEntries: int64(t.cfg.Limits.MaxEntries), MaxBytes: t.cfg.Limits.MaxBytes,
		Detail: map[string]any{
			"enabled": i.Enabled, "unresponsive": i.Unresponsive, "death_watch": i.DeathWatch,
			"recent_downs": i.RecentDowns, "watchers": i.Watchers,
		},
	}
}

// Previews implements operator.Previewer: what is recorded in shadow is what would be answered.
func (t table) Previews() []operator.Preview {
	i := t.info()
	return []operator.Preview{{
		Flag: t.cfg.Flag,
		Summary: fmt.Sprintf("%d agents (%d bytes) would be answered for; %d reads were answered registry_disabled so far, which callers served from their local path",
			i.Entries, i.Bytes, i.ShadowReads),
		Detail: map[string]any{"agents": i.Entries, "bytes": i.Bytes, "shadow_reads": i.ShadowReads, "shadow_writes": i.ShadowWrites},
	}}
}

// backupHead is the first line of a backup; records follow, one a line.
type backupHead struct {
	Format int `json:"agent_registry_format"`
}

// Backup implements operator.Backuper. Nobody waits for it: it reads as everyone does.
func (t table) Backup(_ context.Context, w io.Writer) (time.Duration, error) {
	out := json.NewEncoder(w)
	if err := out.Encode(backupHead{storedFormat}); err != nil {
		return 0, err
	}
	for _, e := range t.byID.All() {
		if err := out.Encode(record{Put: storedOf(e)}); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// Restore implements operator.Backuper. Agents that are registered now stay as they are; of the others
// those whose process has ended are left out.
func (t table) Restore(ctx context.Context, in io.Reader) (operator.Restoration, error) {
	held, err := readBackup(in)
	if err != nil {
		return operator.Restoration{}, err
	}
	for id, s := range held {
		if err := t.checkAgent(s.Agent); err != nil {
			return operator.Restoration{}, fmt.Errorf("agent %.64q: %w", id, err)
		}
	}
	var back []*entry
	return operator.Restoration{
		Apply: func() (int64, error) {
			back = t.takeBack(held)
			t.sync(ctx)
			return int64(len(back)), nil
		},
		Undo: func() error {
			t.letGo(back)
			t.sync(ctx)
			return nil
		},
	}, nil
}

func readBackup(in io.Reader) (map[string]*stored, error) {
	lines := json.NewDecoder(bufio.NewReader(in))
	var head backupHead
	if err := lines.Decode(&head); err != nil {
		return nil, fmt.Errorf("the first line: %w", err)
	}
	if head.Format != storedFormat {
		return nil, fmt.Errorf("format %d: this agent reads %d", head.Format, storedFormat)
	}
	held := map[string]*stored{}
	for n := 2; ; n++ {
		var rec record
		err := lines.Decode(&rec)
		switch {
		case errors.Is(err, io.EOF):
			return held, nil
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case rec.Put == nil || rec.Put.Agent == nil:
			return nil, fmt.Errorf("line %d holds no agent", n)
		}
		held[rec.Put.Agent.ID] = rec.Put
	}
}

// Rebuild implements operator.Rebuilder: accounts and the index of processes are made anew from the entries.
func (t table) Rebuild(context.Context) (int64, error) {
	t.recount()
	return int64(t.ensure().Entries), nil
}

// Cleanup implements operator.Cleaner: agents whose process has ended unseen, and lapsed leases.
func (t table) Cleanup(context.Context) (int64, error) {
	before := t.byID.Len()
	t.ensure()
	t.sweep()
	return int64(max(0, before-t.byID.Len())), nil
}

// Ensure implements operator.Ensurer.
func (t table) Ensure(context.Context) error {
	t.ensure()
	return nil
}
