// This file is the bounds of the registry as a whole.

package registry

import "github.com/foundation-agent/foundation-agent/internal/agents"

// room reports whether one more agent may be held. replaced is the entry that would go, nil where none would.
func (r *registry) room(a *agents.Agent, of account, replaced *entry) error {
	entries, ofAccount, bytes := r.byID.Len(), r.accounts[of], bytesOf(a)
	if replaced != nil {
		entries--
		bytes -= replaced.bytes
		if replaced.account == of {
			ofAccount--
		}
	}
	limits := &r.cfg.Limits
	switch {
	case entries >= limits.MaxEntries:
		return full("max_entries", limits.MaxEntries)
	case ofAccount >= limits.MaxEntriesPerUID:
		return full("max_entries_per_uid", limits.MaxEntriesPerUID)
	}
	return r.roomForBytes(bytes)
}

func (r *registry) roomForBytes(more int64) error {
	if limit := r.cfg.Limits.MaxBytes; more > 0 && r.bytes.Load()+more > limit {
		return full("max_bytes", limit)
	}
	return nil
}
