package chaos

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/foundation-agent/foundation-agent/internal/agenttest"
	"github.com/foundation-agent/foundation-agent/testbed/backend"
)

// stateFaults happen to the state directory.
var stateFaults = []fault{
	{"a full disk", "senders are refused for now while nothing can be stored; nothing accepted is lost", func(t *trial) []account {
		t.onTmpfs("size=128m")
		t.with("extensions: {file_storage: {max_size: 0}}\n")
		t.run()
		time.Sleep(window)
		t.backend.Be(backend.Refuses)
		ballast := filepath.Join(t.options.StateDir, "ballast")
		t.fill(ballast)
		time.Sleep(4 * time.Second)
		t.note("%d %% of the disk used", t.used())
		require.False(t, t.agent.Exited())
		require.NoError(t, os.Remove(ballast))
		t.backend.Be(backend.Accepts)
		t.load.flows(t)
		return t.settle()
	}},
	{"a read-only state directory at the start", "an error that names the directory, at once", func(t *trial) []account {
		t.onTmpfs("size=24m")
		t.remount("ro,size=24m")
		said := agenttest.Fail(t, t.options)
		require.Contains(t, said, t.options.StateDir)
		require.Contains(t, said, "read-only")
		t.note("ended, naming the directory")
		return nil
	}},
	{"a corrupted state file", "the agent starts, says what it could not read, and counts anew", func(t *trial) []account {
		t.run()
		time.Sleep(window / 2)
		t.agent.Stop()
		// What event_dedup held is gone with its file; it is bounded by what came in since the last window's end.
		t.mayLose[events] = t.load.acceptedBefore(time.Now())[events]
		file := t.stateFile("processor")
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for i := 4096; i < len(data); i++ {
			data[i] ^= 0xa5
		}
		require.NoError(t, os.WriteFile(file, data, 0o600))
		t.start()
		require.Contains(t, t.agent.Output(), "Damaged: ")
		t.note("started, saying so; the file was set aside")
		t.load.flows(t)
		return t.settle()
	}},
	{"a damaged record in the state", "the agent says what it could not read, and no other component's state suffers", func(t *trial) []account {
		t.run()
		time.Sleep(window / 2)
		t.agent.Stop()
		t.mayLose[events] = t.load.acceptedBefore(time.Now())[events]
		t.damage(t.stateFile("processor"))
		t.start()
		require.Contains(t, strings.ToLower(t.agent.Output()), "damaged")
		t.note("started, saying so")
		t.load.flows(t)
		return t.settle()
	}},
	{"state in a newer format", "refused with an error that says so, and left alone; the newer agent finds it whole", func(t *trial) []account {
		t.run()
		time.Sleep(window / 2)
		t.agent.Stop()
		file := t.stateFile("processor")
		old := t.setLayout(file, 99)
		said := agenttest.Fail(t, t.options)
		require.Contains(t, said, "newer format")
		require.EqualValues(t, 99, t.setLayout(file, old), "what is stored must be left alone")
		t.note("ended, saying so; the file was left alone")
		t.start()
		t.load.flows(t)
		return t.settle()
	}},
}

// onTmpfs puts the state directory on a file system of its own.
func (t *trial) onTmpfs(options string) {
	dir := t.options.StateDir
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a file system of its own needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if t.agent != nil {
			t.agent.Kill()
		}
		require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH))
	})
}

func (t *trial) remount(options string) {
	require.NoError(t, unix.Mount("tmpfs", t.options.StateDir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, strings.TrimPrefix(options, "ro,")))
}

// fill writes a file until the disk is full.
func (t *trial) fill(path string) {
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, unix.ENOSPC)
}

// used is the share of the state directory's disk that is used, in per cent.
func (t *trial) used() int {
	var s unix.Statfs_t
	require.NoError(t, unix.Statfs(t.options.StateDir, &s))
	return int(100 - 100*s.Bavail/s.Blocks)
}

// stateFile is the file of the first component of a kind.
func (t *trial) stateFile(kind string) string {
	files, err := filepath.Glob(filepath.Join(t.options.StateDir, "storage", kind+"_*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files[0]
}

// damage flips a byte in every chunk of a component's journal.
func (t *trial) damage(file string) {
	t.edit(file, func(bucket *bolt.Bucket) error {
		chunks := map[string][]byte{}
		if err := bucket.ForEach(func(key, value []byte) error {
			if len(value) > 100 {
				damaged := bytes.Clone(value)
				damaged[len(damaged)/2] ^= 0xff
				chunks[string(key)] = damaged
			}
			return nil
		}); err != nil {
			return err
		}
		require.NotEmpty(t, chunks)
		for key, value := range chunks {
			if err := bucket.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// edit changes what a component has stored.
func (t *trial) edit(file string, change func(*bolt.Bucket) error) {
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket([]byte("default"))) }))
	require.NoError(t, db.Close())
}

// setLayout changes the version that a journal's head carries, and returns the former one.
func (t *trial) setLayout(file string, layout int) (former int) {
	t.edit(file, func(bucket *bolt.Bucket) error {
		head := map[string]any{"layout": float64(1)} // what an absent head means
		if stored := bucket.Get([]byte("head")); stored != nil {
			if err := json.Unmarshal(stored, &head); err != nil {
				return err
			}
		}
		former = int(head["layout"].(float64))
		head["layout"] = layout
		value, err := json.Marshal(head)
		if err != nil {
			return err
		}
		return bucket.Put([]byte("head"), value)
	})
	return former
}
