// This file lets operators look at tables and mend them: list, rebuild, cleanup, ensure.

package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// paramTable names the tables that a call is about; it may be given several times.
const paramTable = "table"

// The call that restores.
const (
	restorePath = "/v1/tables/restore"
	restoreCall = "POST " + restorePath
)

// tables serves /v1/tables.
type tables struct {
	registry *registry
	version  string // of the agent
	spool    string // directory of temporary files, the agent's own
	intents  intents
	audit    *audit
	limit    int64 // bytes that a restored backup may unpack to

	restoring sync.Mutex // held while a restore is under way: one at a time
}

func newTables(cfg *Config, registry *registry, audit *audit, version string) *tables {
	dir := filepath.Dir(cfg.Socket.Path)
	return &tables{registry: registry, version: version, spool: dir, intents: intents{dir}, audit: audit, limit: cfg.MaxRestoreBytes}
}

func (t *tables) routes() []operator.Route {
	return []operator.Route{
		{Pattern: "GET /v1/tables", Handler: t.serveList},
		{Pattern: "POST /v1/tables/backup", Handler: t.serveBackup},
		{Pattern: restoreCall, Handler: t.serveRestore},
		{Pattern: "POST /v1/tables/rebuild", Handler: t.serveEach(rebuild)},
		{Pattern: "POST /v1/tables/cleanup", Handler: t.serveEach(cleanup)},
		{Pattern: "POST /v1/tables/ensure", Handler: t.serveEach(ensure)},
	}
}

func (t *tables) serveList(w http.ResponseWriter, r *http.Request) {
	chosen, err := t.choose(r, nil)
	if err != nil {
		writeUnknownTable(w, err)
		return
	}
	door.WriteJSON(w, http.StatusOK, map[string][]operator.TableView{"tables": viewsOf(chosen)})
}

func viewsOf(chosen []operator.Table) []operator.TableView {
	views := make([]operator.TableView, 0, len(chosen))
	for _, table := range chosen {
		views = append(views, operator.TableView{Name: table.Name(), TableInfo: table.Info(), Can: abilities(table)})
	}
	return views
}

// choose returns the tables that the request names, in the order of their names; without a name, all
// that can do what is asked. A named table that is unknown, or cannot, is an error.
func (t *tables) choose(r *http.Request, can func(operator.Table) bool) ([]operator.Table, error) {
	return chooseTables(t.registry.listTables(), r.URL.Query()[paramTable], can)
}

func chooseTables(all []operator.Table, names []string, can func(operator.Table) bool) ([]operator.Table, error) {
	able := slices.DeleteFunc(all, func(table operator.Table) bool { return can != nil && !can(table) })
	if len(names) == 0 {
		return able, nil
	}
	known := make([]string, 0, len(able))
	for _, table := range able {
		known = append(known, table.Name())
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no such table, or it cannot do this: %q; there are: %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(able, func(table operator.Table) bool { return !slices.Contains(names, table.Name()) }), nil
}

func writeUnknownTable(w http.ResponseWriter, err error) {
	door.WriteError(w, http.StatusNotFound, door.Error{Code: "unknown_table", Message: err.Error()})
}

// operation is something that a table may be able to do: it returns nil where the table cannot.
type operation func(table operator.Table) func(context.Context) (entries int64, err error)

func rebuild(table operator.Table) func(context.Context) (int64, error) {
	if r, ok := table.(operator.Rebuilder); ok {
		return r.Rebuild
	}
	return nil
}

func cleanup(table operator.Table) func(context.Context) (int64, error) {
	if c, ok := table.(operator.Cleaner); ok {
		return c.Cleanup
	}
	return nil
}

func ensure(table operator.Table) func(context.Context) (int64, error) {
	if e, ok := table.(operator.Ensurer); ok {
		return func(ctx context.Context) (int64, error) {
			err := e.Ensure(ctx)
			return table.Info().Entries, err
		}
	}
	return nil
}

func isBackuper(table operator.Table) bool {
	_, ok := table.(operator.Backuper)
	return ok
}

func abilities(table operator.Table) []string {
	can := []string{}
	if isBackuper(table) {
		can = append(can, "backup", "restore")
	}
	for _, op := range []struct {
		name string
		do   operation
	}{{"rebuild", rebuild}, {"cleanup", cleanup}, {"ensure", ensure}} {
		if op.do(table) != nil {
			can = append(can, op.name)
		}
	}
	return can
}

// serveEach does op to each chosen table. One that fails does not keep the others from it: the
// answer says for each what came of it, with status 500 where one failed.
func (t *tables) serveEach(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		chosen, err := t.choose(r, func(table operator.Table) bool { return op(table) != nil })
		if err != nil {
			writeUnknownTable(w, err)
			return
		}
		results := make([]operator.TableResult, 0, len(chosen))
		var failed []error
		for _, table := range chosen {
			start := time.Now()
			entries, err := op(table)(r.Context())
			result := operator.TableResult{Table: table.Name(), Entries: entries, Took: time.Since(start)}
			if err != nil {
				result.Error = err.Error()
				failed = append(failed, fmt.Errorf("table %s: %w", table.Name(), err))
			}
			results = append(results, result)
		}
		if err := errors.Join(failed...); err != nil {
			door.WriteError(w, http.StatusInternalServerError, door.Error{Code: "table_failed", Message: err.Error(), Details: results})
			return
		}
		door.WriteJSON(w, http.StatusOK, map[string][]operator.TableResult{"results": results})
	}
}
