package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
)

func TestDamagedStateIsSetAside(t *testing.T) {
	for what, damage := range map[string]func([]byte) []byte{
		"not at all":     func(b []byte) []byte { return b },
		"all but head":   func(b []byte) []byte { return flip(b, 4096, len(b)) },
		"data pages":     func(b []byte) []byte { return flip(b, 4*4096, len(b)) },
		"both heads":     func(b []byte) []byte { return flip(b, 0, 2*4096) },
		"cut short":      func(b []byte) []byte { return b[:len(b)/2] },
		"something else": func([]byte) []byte { return []byte("hello") },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "processor_x")
			write(t, path)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, damage(data), 0o600))
			var out strings.Builder
			require.NoError(t, setAsideDamaged(dir, &out))
			asides, err := filepath.Glob(path + ".*.backup")
			require.NoError(t, err)
			if what == "not at all" {
				require.Empty(t, out.String())
				require.Empty(t, asides)
				return
			}
			require.Contains(t, out.String(), path)
			require.Len(t, asides, 1)
			require.NoError(t, setAsideDamaged(dir, &out), "what was set aside is left alone")
			write(t, path) // a new file takes its place
		})
	}
}

func flip(b []byte, from, to int) []byte {
	for i := from; i < to; i++ {
		b[i] ^= 0xa5
	}
	return b
}

// write makes a store of many pages.
func write(t *testing.T, path string) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte("default"))
		for i := range 1000 {
			if err == nil {
				err = bucket.Put(fmt.Appendf(nil, "key %d", i), make([]byte, 1000))
			}
		}
		return err
	}))
	require.NoError(t, db.Close())
}
