// This file keeps the last good definition files, for a start at which those on the disk are broken.

package flags

import (
	"context"
	"encoding/json"
	"slices"
)

const lastGoodKey = "definitions"

// lastGood is definition files as stored: what holds where those on the disk are broken at start.
type lastGood struct {
	Files []string `json:"files"`
	Data  [][]byte `json:"data"`
}

// keepFiles stores good definition files, some time later.
func (s *store) keepFiles(files []string, c contents) {
	if s.client == nil {
		return
	}
	raw, err := json.Marshal(lastGood{Files: files, Data: c.data})
	if err != nil { // strings and bytes always encode
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = raw
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *store) writeFiles() error {
	s.mu.Lock()
	raw := s.files
	s.files = nil
	s.mu.Unlock()
	if raw == nil {
		return nil
	}
	return s.client.Set(context.Background(), lastGoodKey, raw)
}

// goodFiles returns what keepFiles stored last of the same files.
func (s *store) goodFiles(ctx context.Context, files []string) (contents, bool) {
	if s.client == nil {
		return contents{}, false
	}
	raw, err := s.client.Get(ctx, lastGoodKey)
	if err != nil {
		return contents{}, false
	}
	var last lastGood
	if json.Unmarshal(raw, &last) != nil || !slices.Equal(last.Files, files) || len(last.Data) != len(files) {
		return contents{}, false
	}
	return contents{data: last.Data}, true
}
