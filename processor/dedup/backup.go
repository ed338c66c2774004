// This file writes the table out for operators while it runs, and reads such a backup.

package dedup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// backupMagic begins a backup: what it is, and the version of its records.
const backupMagic = "event_dedup backup 1\n"

const maxBackupRecord = 64 << 20

var errNoBackup = errors.New("this is no backup of event_dedup, or it is damaged")

// Backup writes the records of a snapshot, each after its length, and the CRC-32 (IEEE) of all.
func (t keysTable) Backup(ctx context.Context, w io.Writer) (longestPause time.Duration, err error) {
	sum := crc32.NewIEEE()
	out := bufio.NewWriter(io.MultiWriter(w, sum))
	if _, err := out.WriteString(backupMagic); err != nil {
		return 0, err
	}
	var length []byte
	all := image{emit: func(record []byte) error {
		length = binary.AppendUvarint(length[:0], uint64(len(record)))
		if _, err := out.Write(length); err != nil {
			return err
		}
		if _, err := out.Write(record); err != nil {
			return err
		}
		return ctx.Err()
	}}
	if err := all.write(t.p); err != nil {
		return 0, err
	}
	if err := out.WriteByte(0); err != nil { // no record is empty: the end
		return 0, err
	}
	if err := out.Flush(); err != nil {
		return 0, err
	}
	_, err = w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	return all.pauses.Longest(), err
}

func readBackup(ctx context.Context, p *dedupProcessor, r io.Reader) (*restorer, error) {
	in := &summedReader{r: bufio.NewReader(r), sum: crc32.NewIEEE()}
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic {
		return nil, errNoBackup
	}
	// Tenants of a backup are not taken in: only keys come back, which hold nothing.
	restored := newRestorer(&dedupProcessor{cfg: p.cfg, rules: p.rules, table: p.table, now: p.now,
		tenants: newTenants(p.cfg.MetadataKeys, int(p.cfg.MetadataCardinalityLimit))})
	for {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > maxBackupRecord {
			return nil, errNoBackup
		}
		if n == 0 {
			break
		}
		record, err := io.ReadAll(io.LimitReader(in, int64(n))) // grows with what is there, not with what is claimed
		if err != nil || uint64(len(record)) != n {
			return nil, errNoBackup
		}
		if err := restored.apply(stateFormat, record); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoBackup, err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	want := in.sum.Sum32()
	var sum [4]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil || binary.LittleEndian.Uint32(sum[:]) != want {
		return nil, errNoBackup
	}
	return restored, nil
}

// summedReader keeps the CRC-32 of what was read.
type summedReader struct {
	r   *bufio.Reader
	sum interface {
		io.Writer
		Sum32() uint32
	}
}

func (s *summedReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	_, _ = s.sum.Write(b[:n]) // a hash does not fail
	return n, err
}

func (s *summedReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		_, _ = s.sum.Write([]byte{b})
	}
	return b, err
}
