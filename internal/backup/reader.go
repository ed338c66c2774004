// This file reads a backup, and believes nothing of it.

package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory of the decompressor, whatever the file asks for.
const maxWindow = 16 << 20

// Reader reads one backup. Not safe for concurrent use.
type Reader struct {
	Header Header

	zstd   *zstd.Decoder
	stream *limitedReader
	tar    *tar.Reader
	next   *tar.Header // an entry whose content is still to be read; nil where none is
	table  *tableReader
	read   Manifest // what has been read, to be compared with the manifest
}

// NewReader reads the header of a backup. What it unpacks to may be limit bytes long. Close it.
func NewReader(r io.Reader, limit int64) (*Reader, error) {
	decoder, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	stream := &limitedReader{r: decoder, left: limit}
	b := &Reader{zstd: decoder, stream: stream, tar: tar.NewReader(stream)}
	if err := b.readHeader(); err != nil {
		decoder.Close()
		return nil, err
	}
	return b, nil
}

// Close frees the decompressor.
func (b *Reader) Close() { b.zstd.Close() }

func (b *Reader) readHeader() error {
	entry, err := b.tar.Next()
	if err != nil {
		return foreign(err)
	}
	if entry.Name != headerEntry || b.readJSON(entry, &b.Header) != nil || b.Header.Kind != Kind {
		return ErrForeign
	}
	if b.Header.Format > Format {
		return fmt.Errorf("%w: format %d, this agent reads up to %d", ErrNewer, b.Header.Format, Format)
	}
	return b.advance()
}

// Next returns the next table and a reader of its content; what is left of the former one is read
// over. After the last table it checks the manifest, and returns io.EOF when the whole file is sound.
func (b *Reader) Next() (name string, content io.Reader, err error) {
	if b.table != nil {
		if _, err := io.Copy(io.Discard, b.table); err != nil {
			return "", nil, err
		}
		b.read.Tables = append(b.read.Tables, b.table.summary())
		b.table = nil
	}
	if b.next.Name == manifestEntry {
		return "", nil, b.finish()
	}
	name, n, ok := chunkOf(b.next.Name)
	if !ok || n != 0 || len(b.read.Tables) == maxTables {
		return "", nil, fmt.Errorf("%w: entry %q is out of place", ErrDamaged, b.next.Name)
	}
	if slices.ContainsFunc(b.read.Tables, func(t Table) bool { return t.Name == name }) {
		return "", nil, fmt.Errorf("%w: table %q is there twice", ErrDamaged, name)
	}
	b.table = &tableReader{backup: b, name: name, hash: sha256.New()}
	return name, b.table, nil
}

// finish compares the manifest with what was read, and makes sure that nothing follows it.
func (b *Reader) finish() error {
	var manifest Manifest
	if err := b.readJSON(b.next, &manifest); err != nil {
		return damaged(err)
	}
	if !slices.EqualFunc(manifest.Tables, b.read.Tables, sameContent) {
		return fmt.Errorf("%w: the tables are not those of its manifest", ErrDamaged)
	}
	if _, err := b.tar.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the manifest", ErrDamaged)
	}
	var after [1]byte
	if n, err := io.ReadFull(b.stream, after[:]); n > 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the archive", ErrDamaged)
	}
	b.read = manifest
	return io.EOF
}

func sameContent(a, b Table) bool {
	return a.Name == b.Name && a.Bytes == b.Bytes && a.SHA256 == b.SHA256
}

// advance moves to the next entry. A file may not end before its manifest.
func (b *Reader) advance() error {
	entry, err := b.tar.Next()
	if err != nil {
		return damaged(err)
	}
	if entry.Typeflag != tar.TypeReg {
		return fmt.Errorf("%w: entry %q is no file", ErrDamaged, entry.Name)
	}
	b.next = entry
	return nil
}

func (b *Reader) readJSON(entry *tar.Header, v any) error {
	if entry.Size > maxMeta {
		return fmt.Errorf("%s is %d bytes long", entry.Name, entry.Size)
	}
	content, err := io.ReadAll(b.tar)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	return decoder.Decode(v)
}

// tableReader joins the chunks of one table.
type tableReader struct {
	backup *Reader
	name   string
	hash   hash.Hash
	bytes  int64
	chunk  int
	end    bool
}

func (t *tableReader) Read(p []byte) (int, error) {
	for !t.end {
		n, err := t.backup.tar.Read(p)
		_, _ = t.hash.Write(p[:n]) // a hash never fails
		t.bytes += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return 0, damaged(err)
		}
		if err := t.nextChunk(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

func (t *tableReader) nextChunk() error {
	if err := t.backup.advance(); err != nil {
		return err
	}
	name, n, ok := chunkOf(t.backup.next.Name)
	if !ok || name != t.name {
		t.end = true
		return nil
	}
	t.chunk++
	if n != t.chunk {
		return fmt.Errorf("%w: table %q has chunk %d where %d belongs", ErrDamaged, name, n, t.chunk)
	}
	return nil
}

func (t *tableReader) summary() Table {
	return Table{Name: t.name, Bytes: t.bytes, SHA256: hex.EncodeToString(t.hash.Sum(nil))}
}

// Verify reads a whole backup and returns its header and what it holds.
func Verify(r io.Reader, limit int64) (Header, Manifest, error) {
	b, err := NewReader(r, limit)
	if err != nil {
		return Header{}, Manifest{}, err
	}
	defer b.Close()
	for {
		if _, _, err := b.Next(); errors.Is(err, io.EOF) {
			return b.Header, b.read, nil
		} else if err != nil {
			return Header{}, Manifest{}, err
		}
	}
}

// limitedReader ends with ErrTooLarge, where io.LimitedReader ends with io.EOF.
type limitedReader struct {
	r    io.Reader
	left int64
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		// One more byte tells whether the stream ends right here.
		var one [1]byte
		if n, err := io.ReadFull(l.r, one[:]); n == 0 {
			return 0, err
		}
		return 0, ErrTooLarge
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

func damaged(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// foreign is the error of a file whose very beginning is not ours.
func foreign(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrForeign, err)
}
