// Package backup is the file that a backup of tables is: a tar archive (POSIX pax) compressed by
// zstd (RFC 8878), so that `tar --zstd -tvf` lists it.
//
// The first entry, backup.json, says which format this is. Then come the tables, each as chunks
// "<table>/<number>" in order, with the table's name escaped as in a URL's path. The last entry,
// manifest.json, has the length and SHA-256 of every table. What is cut off, damaged, added or out
// of order is an error; so is what unpacks to more than the reader allows.
package backup

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Format is the version of the container that is written. Readers refuse newer ones.
const Format = 1

// Kind marks the container as ours.
const Kind = "foundation-agent tables"

// Names of the entries that are no chunks. A chunk's name contains a slash.
const (
	headerEntry   = "backup.json"
	manifestEntry = "manifest.json"
)

const (
	chunkSize = 1 << 20 // a chunk is held in memory while its length is not known
	maxMeta   = 1 << 20 // bound of backup.json and manifest.json
	maxTables = 10_000
)

// Errors of a reader, wrapped with what was found where.
var (
	ErrForeign  = errors.New("this is no backup of foundation-agent")
	ErrNewer    = errors.New("this backup was made by a newer foundation-agent")
	ErrDamaged  = errors.New("this backup is damaged")
	ErrTooLarge = errors.New("this backup unpacks to more than is allowed")
)

// Header is the first entry.
type Header struct {
	Kind   string    `json:"kind"`
	Format int       `json:"format"`
	Made   time.Time `json:"made"`
	Agent  string    `json:"agent"` // version of the agent that made it
}

// Manifest is the last entry.
type Manifest struct {
	Tables []Table `json:"tables"`
}

// Table is what the manifest says of one table.
type Table struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// LongestPause is how long the table's users waited at most while it was written.
	LongestPause time.Duration `json:"longest_pause_ns"`
}

func chunkName(table string, n int) string { return fmt.Sprintf("%s/%06d", url.PathEscape(table), n) }

// chunkOf is the inverse of chunkName.
func chunkOf(entry string) (table string, n int, ok bool) {
	escaped, number, found := strings.Cut(entry, "/")
	if !found {
		return "", 0, false
	}
	table, err := url.PathUnescape(escaped)
	if err != nil {
		return "", 0, false
	}
	if _, err := fmt.Sscanf(number, "%d", &n); err != nil || entry != chunkName(table, n) {
		return "", 0, false
	}
	return table, n, true
}
