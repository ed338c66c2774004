package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A chunk is stored as its CRC-32C, the format of its records (both little endian), and the records, each after its
// length as a varint.
type chunk []byte

const chunkHeader = 8

func newChunk() chunk { return make(chunk, chunkHeader) }

// seal fills in the header: the chunk can be stored as it is.
func (c chunk) seal(format uint32) []byte {
	binary.LittleEndian.PutUint32(c[4:], format)
	binary.LittleEndian.PutUint32(c, crc32.Checksum(c[4:], castagnoli))
	return c
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunks are records on their way to the store.
type chunks struct {
	list  []chunk
	bytes int // of the records, with their lengths
}

// add copies a record to the end.
func (c *chunks) add(record []byte) {
	n := len(c.list) - 1
	if n < 0 || len(c.list[n])+len(record) > chunkBytes {
		c.list, n = append(c.list, slices.Grow(newChunk(), chunkBytes)), n+1
	}
	before := len(c.list[n])
	c.list[n] = protowire.AppendBytes(c.list[n], record)
	c.bytes += len(c.list[n]) - before
}

// join moves all of more to the end.
func (c *chunks) join(more *chunks) {
	for _, one := range more.list {
		if n := len(c.list) - 1; n >= 0 && len(c.list[n])+len(one) <= chunkBytes {
			c.list[n] = append(c.list[n], one[chunkHeader:]...)
		} else {
			c.list = append(c.list, one)
		}
	}
	c.bytes += more.bytes
	*more = chunks{}
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
