package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow bounds zstd's memory. Its own levels up to 19 need 8 MiB.
	maxWindow = 32 << 20
	// maxTrailer bounds the zeros at the end of the tar. GNU tar fills up to 10 KiB.
	maxTrailer = 1 << 20
	// tarBlock is what a tar is made of. Two of zeros are its end.
	tarBlock = 512

	zstdMagic = "\x28\xb5\x2f\xfd"
)

// source remembers what went wrong below the decompression: that is no damage.
type source struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// counter counts the bytes of the tar.
type counter struct {
	io.Reader
	read int64
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

// reader reads an archive's entries in their order. Close it after use.
type reader struct {
	ctx    context.Context
	file   *source
	zstd   *zstd.Decoder
	plain  *counter
	tar    *tar.Reader
	header *tar.Header // of the entry that comes next or is being read; nil: the end
}

// newReader begins to read the archive, from the file's beginning.
func newReader(ctx context.Context, file io.ReadSeeker) (*reader, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	magic := make([]byte, len(zstdMagic))
	switch n, err := io.ReadFull(file, magic); {
	case n == 0 && err == io.EOF:
		return nil, &ForeignError{"it is empty"}
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	case string(magic) != zstdMagic:
		return nil, &ForeignError{"it does not begin as data compressed by zstd"}
	}
	r := &reader{ctx: ctx, file: &source{Reader: io.MultiReader(bytes.NewReader(magic), file)}}
	var err error
	r.zstd, err = zstd.NewReader(r.file, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2))
	if err != nil {
		return nil, r.damaged("", err)
	}
	r.plain = &counter{Reader: r.zstd}
	r.tar = tar.NewReader(r.plain)
	if err := r.next(); err != nil {
		r.close()
		return nil, err
	}
	if r.name() != manifestEntry {
		r.close()
		return nil, &ForeignError{fmt.Sprintf("its first entry is not %s", manifestEntry)}
	}
	return r, nil
}

func (r *reader) close() { r.zstd.Close() }

// name is what the next entry is called.
func (r *reader) name() string {
	if r.header == nil {
		return "the end"
	}
	return r.header.Name
}

// damaged returns err as damage, unless it has another cause.
func (r *reader) damaged(where string, err error) error {
	switch {
	case err == nil:
		return nil
	case r.file.err != nil:
		return fmt.Errorf("read the archive: %w", r.file.err)
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return &DamagedError{where, "it is cut off"}
	}
	return &DamagedError{where, oneLine(err.Error())}
}

// next goes to the next entry.
func (r *reader) next() error {
	last := r.header
	header, err := r.tar.Next()
	r.header = header
	if err == io.EOF {
		return nil
	}
	if err != nil {
		where := ""
		if last != nil {
			where = "after " + last.Name
		}
		return r.damaged(where, err)
	}
	plain := header.Typeflag == tar.TypeReg
	for record := range header.PAXRecords {
		plain = plain && !strings.HasPrefix(record, "GNU.sparse.")
	}
	if !plain {
		return &DamagedError{fmt.Sprintf("%.100q", header.Name), "it is not a plain file"}
	}
	return nil
}

// expect returns an error unless the next entry is that one.
func (r *reader) expect(name string) error {
	if r.name() != name {
		return &DamagedError{fmt.Sprintf("%.100q", r.name()), name + " should be there"}
	}
	return nil
}

// json returns the content of the next entry, and leaves the reader at its end.
func (r *reader) json(name string) ([]byte, error) {
	if err := r.expect(name); err != nil {
		return nil, err
	}
	if r.header.Size > maxJSON {
		return nil, &DamagedError{name, fmt.Sprintf("it has %d bytes, more than %d", r.header.Size, maxJSON)}
	}
	text, err := io.ReadAll(r.tar)
	return text, r.damaged(name, err)
}

// end reads to the end of the file: after the last entry come the tar's end, zeros, and the end of the compressed data.
func (r *reader) end() error {
	padding := (tarBlock - r.header.Size%tarBlock) % tarBlock
	ended := r.plain.read + padding + 2*tarBlock
	if err := r.next(); err != nil {
		return err
	}
	if r.header != nil {
		return &DamagedError{fmt.Sprintf("%.100q", r.name()), "it comes after the last entry"}
	}
	if r.plain.read < ended {
		return r.damaged("", io.ErrUnexpectedEOF)
	}
	rest, err := io.ReadAll(io.LimitReader(r.plain, maxTrailer+1))
	switch {
	case err != nil:
		return r.damaged("", err)
	case len(rest) > maxTrailer || len(bytes.Trim(rest, "\x00")) > 0:
		return &DamagedError{"", "something follows its end"}
	}
	return nil
}
