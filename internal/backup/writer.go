// This file writes a backup.

package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Writer writes one backup. Not safe for concurrent use.
type Writer struct {
	zstd     *zstd.Encoder
	tar      *tar.Writer
	made     time.Time
	manifest Manifest
}

// NewWriter begins a backup on w, made by the agent of that version.
func NewWriter(w io.Writer, agent string) (*Writer, error) {
	encoder, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	b := &Writer{zstd: encoder, tar: tar.NewWriter(encoder), made: time.Now().UTC().Truncate(time.Second)}
	return b, b.addJSON(headerEntry, Header{Kind: Kind, Format: Format, Made: b.made, Agent: agent})
}

// Table writes one table: image writes its content, and returns the longest pause that this meant for its users.
func (b *Writer) Table(name string, image func(io.Writer) (time.Duration, error)) error {
	w := &tableWriter{backup: b, name: name, hash: sha256.New(), chunk: make([]byte, 0, chunkSize)}
	pause, err := image(w)
	if err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	// An empty table has one empty chunk: its place in the file is never in doubt.
	if len(w.chunk) > 0 || w.chunks == 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	b.manifest.Tables = append(b.manifest.Tables, Table{Name: name, Bytes: w.bytes, SHA256: hex.EncodeToString(w.hash.Sum(nil)), LongestPause: pause})
	return nil
}

// Close writes the manifest and ends the file. A backup that was not closed is damaged.
func (b *Writer) Close() error {
	return errors.Join(b.addJSON(manifestEntry, b.manifest), b.tar.Close(), b.zstd.Close())
}

func (b *Writer) addJSON(name string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.add(name, content)
}

func (b *Writer) add(name string, content []byte) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(content)), ModTime: b.made, Format: tar.FormatPAX}
	if err := b.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := b.tar.Write(content)
	return err
}

// tableWriter cuts what is written to it into chunks.
type tableWriter struct {
	backup *Writer
	name   string
	hash   hash.Hash
	bytes  int64
	chunk  []byte
	chunks int
}

func (w *tableWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), chunkSize-len(w.chunk))
		w.chunk = append(w.chunk, p[:n]...)
		p, written = p[n:], written+n
		if len(w.chunk) == chunkSize {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *tableWriter) flush() error {
	_, _ = w.hash.Write(w.chunk) // a hash never fails
	w.bytes += int64(len(w.chunk))
	err := w.backup.add(chunkName(w.name, w.chunks), w.chunk)
	w.chunks++
	w.chunk = w.chunk[:0]
	return err
}
