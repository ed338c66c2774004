package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"google.golang.org/protobuf/encoding/protowire"
)

// chunk is a run of records, each after its length as a varint, still without its header.
type chunk []byte

func (c *chunk) add(record []byte) { *c = protowire.AppendBytes(*c, record) }

// reuse empties c, and lets go of memory that only a rare peak needed.
func (c chunk) reuse() chunk {
	if cap(c) > 4*chunkBytes {
		return nil
	}
	return c[:0]
}

// A stored chunk is its CRC-32C, the format of its records (both little endian), and the records.
const chunkHeader = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c chunk) seal(format uint32) []byte {
	sealed := make([]byte, chunkHeader, chunkHeader+len(c))
	binary.LittleEndian.PutUint32(sealed[4:], format)
	sealed = append(sealed, c...)
	binary.LittleEndian.PutUint32(sealed, crc32.Checksum(sealed[4:], castagnoli))
	return sealed
}

// split cuts c into chunks of about chunkBytes, at record boundaries.
func (c chunk) split() []chunk {
	if len(c) <= chunkBytes {
		if len(c) == 0 {
			return nil
		}
		return []chunk{c}
	}
	var parts []chunk
	start, at := 0, 0
	for at < len(c) {
		_, n := protowire.ConsumeBytes(c[at:])
		at += n // n > 0: add wrote it
		if at-start >= chunkBytes || at == len(c) {
			parts = append(parts, c[start:at])
			start = at
		}
	}
	return parts
}

// open checks a stored chunk and calls apply for each record.
func open(sealed []byte, newest uint32, apply func(format uint32, record []byte) error) error {
	if len(sealed) < chunkHeader || crc32.Checksum(sealed[4:], castagnoli) != binary.LittleEndian.Uint32(sealed) {
		return fmt.Errorf("%w: checksum", ErrDamaged)
	}
	format := binary.LittleEndian.Uint32(sealed[4:])
	if format > newest {
		return fmt.Errorf("%w: %d, this agent reads up to %d", ErrNewerFormat, format, newest)
	}
	if format+1 < newest {
		return fmt.Errorf("stored in format %d, this agent reads %d and %d: start the version between once", format, newest-1, newest)
	}
	for rest := sealed[chunkHeader:]; len(rest) > 0; {
		record, n := protowire.ConsumeBytes(rest)
		if n < 0 {
			return fmt.Errorf("%w: record length", ErrDamaged)
		}
		if err := apply(format, record); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
