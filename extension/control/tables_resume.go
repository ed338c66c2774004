// This file completes a restore that a crash has cut short: each of its tables takes its image in as it is registered,
// before records reach it.

package control

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/foundation-agent/foundation-agent/internal/operator"
)

// resumption is a restore that is to be completed.
type resumption struct {
	logger *zap.Logger
	tables *tables

	mu     sync.Mutex
	intent *intent // what is left to do; nil: there is none
}

// begin finds out whether there is a restore to complete. Until end none other begins.
func (r *resumption) begin() error {
	in, err := r.tables.intents.get()
	if err != nil || in == nil {
		return err
	}
	r.tables.restoring.Lock()
	r.intent = in
	r.logger.Warn("A restore was cut short: it is completed now", zap.Strings("tables", in.Tables),
		zap.String("author", in.By.Name), zap.String("reason", in.By.Reason))
	return nil
}

// complete takes in the table's part.
func (r *resumption) complete(table operator.Table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.intent == nil || !isBackuper(table) || !slices.Contains(r.intent.Tables, table.Name()) {
		return
	}
	result, err := r.takeIn(table)
	if err != nil {
		r.logger.Error("A restore that was cut short cannot be completed", zap.String("table", table.Name()), zap.Error(err))
		return
	}
	r.intent.Tables = slices.DeleteFunc(r.intent.Tables, func(name string) bool { return name == table.Name() })
	r.logger.Info("A restore that was cut short is complete", zap.String("table", table.Name()), zap.Int64("entries", result.Entries))
	r.tables.audit.changes(r.intent.By, result)
}

func (r *resumption) takeIn(table operator.Table) (operator.TableResult, error) {
	file, err := r.tables.intents.staged()
	if err != nil {
		return operator.TableResult{}, err
	}
	defer file.Close()
	ctx := operator.WithCaller(context.Background(), r.intent.By)
	ready, err := r.tables.prepare(ctx, file, []operator.Table{table}, true)
	if err != nil {
		return operator.TableResult{}, err
	}
	results, err := applyAll(ready)
	if err != nil {
		return operator.TableResult{}, err
	}
	return results[0], nil
}

// end is when every table is registered. A restore of which a part could not be completed is the operator's from
// here on.
func (r *resumption) end() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.intent == nil {
		return nil
	}
	defer r.tables.restoring.Unlock()
	left := r.intent.Tables
	r.intent = nil
	if len(left) == 0 {
		return r.tables.intents.done()
	}
	kept, err := r.tables.intents.failed()
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	r.logger.Error("A restore that was cut short is not complete: restore the rest by `foundation-agent tables restore FILE --table NAME`",
		zap.Strings("tables", left), zap.String("file", kept))
	return nil
}
