package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// setAsideDamaged renames the files of a state directory that bbolt cannot read, and says so. file_storage's
// `recreate` does the same for damage that its own goroutine meets; but opening a file for writing walks its pages
// in another goroutine, whose panic ends the process.
func setAsideDamaged(dir string, out io.Writer) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") || strings.Contains(entry.Name(), ".backup") {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		damage := walk(path)
		if damage == nil {
			continue
		}
		aside := path + "." + time.Now().UTC().Format("2006-01-02T15.04.05.000") + ".backup" // as file_storage names them
		if err := os.Rename(path, aside); err != nil {
			return fmt.Errorf("state directory: %s is damaged (%w) and cannot be set aside: %w", path, damage, err)
		}
		fmt.Fprintf(out, "Damaged: %s cannot be read (%v). It is now %s; what it held is not restored.\n", path, damage, filepath.Base(aside))
	}
	return nil
}

// walk reads every page that is in use, in this goroutine, and returns what is wrong with them.
func walk(path string) (damage error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a file cut short faults where it is mapped
	defer func() {
		if r := recover(); r != nil {
			damage = fmt.Errorf("%v", r)
		}
	}()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // read only: nothing can be lost
	return db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
			return bucket.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}
