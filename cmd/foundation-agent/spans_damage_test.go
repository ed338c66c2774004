package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
)

// A damaged store of open spans keeps nobody from starting: the damage is told, what cannot be read is set aside or
// left out, and the other tables come back.
func TestDamagedStoreOfOpenSpans(t *testing.T) {
	overwrite := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, change(data), 0o600))
		}
	}
	for what, damage := range map[string]struct {
		do       func(t *testing.T, path string)
		says     string
		setAside bool
	}{
		"pages":          {overwrite(func(b []byte) []byte { return flip(b, 2*4096, len(b)) }), "Damaged: ", true},
		"cut short":      {overwrite(func(b []byte) []byte { return b[:2*4096] }), "Damaged: ", true},
		"something else": {overwrite(func([]byte) []byte { return []byte("hello") }), "Damaged: ", true},
		"one value":      {flipValues, "Stored state is damaged", false},
	} {
		t.Run(what, func(t *testing.T) {
			options := agenttest.Options{Args: []string{"--config", keepKeys}}
			a := agenttest.Start(t, options)
			post := func(path, body string) {
				status, answer := a.Post(path, "application/json", body)
				require.Less(t, status, 300, answer)
			}
			for i := range 100 {
				post("/v1/spans/start", fmt.Sprintf(`{"name":"s%d"}`, i))
			}
			post("/v1/events", `{"name":"e","metadata":{"dedup_key":"k"}}`)
			require.Equal(t, held{keys: 1, spans: 100}, heldBy(t, a))
			a.Stop()
			path := filepath.Join(a.StateDir, "storage", "extension_open_spans_")
			damage.do(t, path)

			options.StateDir = a.StateDir
			a = agenttest.Start(t, options)
			require.Contains(t, a.Output(), damage.says)
			asides, err := filepath.Glob(path + ".*.backup")
			require.NoError(t, err)
			require.Equal(t, damage.setAside, len(asides) == 1)
			require.Equal(t, held{keys: 1}, heldBy(t, a))
			post("/v1/spans/start", `{"name":"new"}`)
			a.Stop()

			a = agenttest.Start(t, options)
			require.NotContains(t, a.Output(), damage.says)
			require.Equal(t, held{keys: 1, spans: 1}, heldBy(t, a), "what came since is stored")
		})
	}
}

// flipValues changes a byte in the middle of each chunk of the store, and leaves the file's own structure whole.
func flipValues(t *testing.T, path string) {
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
			changed := map[string][]byte{}
			err := bucket.ForEach(func(k, v []byte) error {
				if string(k) != "head" {
					changed[string(k)] = flip(append([]byte(nil), v...), len(v)/2, len(v)/2+1)
				}
				return nil
			})
			for k, v := range changed {
				if err == nil {
					err = bucket.Put([]byte(k), v)
				}
			}
			return err
		})
	}))
	require.NoError(t, db.Close())
}
