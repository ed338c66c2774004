// This file keeps tenants apart by client metadata, as the batch processor does.

package dedup

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

// tenant is one combination of the values of metadata_keys.
type tenant struct {
	id       key
	metadata map[string][]string
}

// context is that with which the tenant's parcels are delivered.
func (t *tenant) context(ctx context.Context) context.Context {
	if len(t.metadata) == 0 {
		return ctx
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(t.metadata)})
}

// tenants are never forgotten; their number is bounded.
type tenants struct {
	keys  []string
	limit int
	none  *tenant // where no metadata_keys are configured

	mu  sync.RWMutex
	all map[key]*tenant
	new []*tenant // not yet written to storage
}

func newTenants(keys []string, limit int) *tenants {
	return &tenants{keys: keys, limit: limit, none: &tenant{}, all: map[key]*tenant{}}
}

// of returns the tenant of a request, and an error for one tenant too many.
func (t *tenants) of(ctx context.Context, d *digest) (*tenant, error) {
	if len(t.keys) == 0 {
		return t.none, nil
	}
	info := client.FromContext(ctx)
	d.begin(0)
	for _, name := range t.keys {
		values := info.Metadata.Get(name)
		d.number(uint64(len(values)))
		for _, v := range values {
			d.text(v)
		}
	}
	id := d.sum()
	t.mu.RLock()
	found := t.all[id]
	t.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	metadata := map[string][]string{}
	for _, name := range t.keys {
		if values := info.Metadata.Get(name); len(values) > 0 {
			metadata[name] = values
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.all[id]; found != nil {
		return found, nil
	}
	if len(t.all) >= t.limit {
		return nil, consumererror.NewPermanent(fmt.Errorf("metadata_cardinality_limit: more than %d combinations of metadata_keys", t.limit))
	}
	added := &tenant{id: id, metadata: metadata}
	t.all[id] = added
	t.new = append(t.new, added)
	return added, nil
}

// restore adds a tenant that was stored.
func (t *tenants) restore(id key, metadata map[string][]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all[id] = &tenant{id: id, metadata: metadata}
}

// get returns the tenant with that id; one that is not known any more is no tenant.
func (t *tenants) get(id key) *tenant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if found := t.all[id]; found != nil {
		return found
	}
	return t.none
}

// supersede makes room for the same tenants under another secret. Those of the former one stay for what is held of
// them.
func (t *tenants) supersede() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limit += len(t.all)
}

// unwritten returns the tenants added since the last call; list returns all.
func (t *tenants) unwritten() []*tenant {
	t.mu.Lock()
	defer t.mu.Unlock()
	added := t.new
	t.new = nil
	return added
}

func (t *tenants) list() []*tenant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make([]*tenant, 0, len(t.all))
	for _, one := range t.all {
		all = append(all, one)
	}
	return all
}
