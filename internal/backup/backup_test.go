package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const pause = 3 * time.Millisecond

func write(t require.TestingT, tables map[string][]byte) []byte {
	var file bytes.Buffer
	w, err := NewWriter(&file, "1.2.3")
	require.NoError(t, err)
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		require.NoError(t, w.Table(name, func(w io.Writer) (time.Duration, error) {
			_, err := w.Write(tables[name])
			return pause, err
		}))
	}
	require.NoError(t, w.Close())
	return file.Bytes()
}

func read(file []byte, limit int64) (map[string][]byte, error) {
	r, err := NewReader(bytes.NewReader(file), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tables := map[string][]byte{}
	for {
		name, content, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tables, nil
		}
		if err != nil {
			return nil, err
		}
		if tables[name], err = io.ReadAll(content); err != nil {
			return nil, err
		}
	}
}

func TestReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tables := rapid.MapOf(rapid.StringN(1, 30, -1), rapid.SliceOf(rapid.Byte())).Draw(t, "tables")
		got, err := read(write(t, tables), 1<<30)
		require.NoError(t, err)
		require.Len(t, got, len(tables))
		for name, content := range tables {
			require.True(t, bytes.Equal(content, got[name]))
		}
	})
}

func TestLongTableIsCutIntoChunks(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), chunkSize/4) // 2.5 chunks
	got, err := read(write(t, map[string][]byte{"a/long": long, "b": nil}), 1<<30)
	require.NoError(t, err)
	require.True(t, bytes.Equal(long, got["a/long"]))
	require.Empty(t, got["b"])
}

func TestEveryDamageIsSeen(t *testing.T) {
	content := map[string][]byte{"a": []byte("some content"), "b": bytes.Repeat([]byte("x"), 5000)}
	file := write(t, content)
	for i := range file {
		damagedFile := bytes.Clone(file)
		damagedFile[i] ^= 0x10
		got, err := read(damagedFile, 1<<30)
		if err == nil {
			require.Equal(t, content, got, "byte %d of %d: only a bit that zstd leaves unused may differ", i, len(file))
		}
		_, err = read(file[:i], 1<<30)
		require.Error(t, err, "cut at %d of %d", i, len(file))
	}
	_, err := read(append(bytes.Clone(file), file...), 1<<30)
	require.ErrorIs(t, err, ErrDamaged, "something follows")
}

func TestForeignFilesAreRefused(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":      nil,
		"text":       []byte("hello"),
		"zstd":       compress(t, []byte("hello")),
		"other tar":  compress(t, archive(t, "passwd", "root")),
		"other kind": compress(t, archive(t, headerEntry, `{"kind":"other","format":1}`)),
	} {
		_, err := read(content, 1<<30)
		require.ErrorIs(t, err, ErrForeign, name)
	}
	_, err := read(compress(t, archive(t, headerEntry, fmt.Sprintf(`{"kind":%q,"format":%d}`, Kind, Format+1))), 1<<30)
	require.ErrorIs(t, err, ErrNewer)
}

func TestEntriesOutOfPlaceAreRefused(t *testing.T) {
	header := fmt.Sprintf(`{"kind":%q,"format":1}`, Kind)
	for name, entries := range map[string][]string{
		"chunk missing":    {"a/000000", "x", "a/000002", "x"},
		"first missing":    {"a/000001", "x"},
		"table twice":      {"a/000000", "x", "b/000000", "x", "a/000000", "x"},
		"no chunk":         {"a", "x"},
		"name not escaped": {"a/b/000000", "x"},
		"no manifest":      {"a/000000", "x"},
		"wrong manifest":   {"a/000000", "x", manifestEntry, `{"tables":[]}`},
		"after manifest":   {manifestEntry, `{"tables":[]}`, "a/000000", "x"},
	} {
		_, err := read(compress(t, archive(t, append([]string{headerEntry, header}, entries...)...)), 1<<30)
		require.ErrorIs(t, err, ErrDamaged, name)
	}
}

func TestLimitHoldsOverAllTables(t *testing.T) {
	file := write(t, map[string][]byte{"zeros": make([]byte, 64<<20)})
	require.Less(t, len(file), 100<<10, "this is what a bomb looks like")
	_, err := read(file, 1<<20)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = read(file, 10)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestVerifyListsTables(t *testing.T) {
	header, manifest, err := Verify(bytes.NewReader(write(t, map[string][]byte{"a": []byte("abc")})), 1<<30)
	require.NoError(t, err)
	require.Equal(t, "1.2.3", header.Agent)
	require.Equal(t, []Table{{Name: "a", Bytes: 3, SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", LongestPause: pause}}, manifest.Tables)
}

func FuzzReader(f *testing.F) {
	f.Add(write(f, nil))
	f.Add(write(f, map[string][]byte{"a": []byte("abc"), "b/c": nil}))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, file []byte) {
		const limit = 1 << 20
		tables, err := read(file, limit)
		if err != nil {
			return
		}
		total := 0
		for _, content := range tables {
			total += len(content)
		}
		require.LessOrEqual(t, total, limit)
	})
}

func archive(t *testing.T, namesAndContents ...string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(namesAndContents); i += 2 {
		content := namesAndContents[i+1]
		require.NoError(t, w.WriteHeader(&tar.Header{Name: namesAndContents[i], Typeflag: tar.TypeReg, Size: int64(len(content))}))
		_, err := io.WriteString(w, content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func compress(t *testing.T, content []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
