package archive

import (
	"context"
	"io"
)

// Archive is a whole and sound archive, from [Verify].
type Archive struct {
	Contents
	file io.ReadSeeker
}

// Verify reads the file from its beginning to its end, and returns the archive if all of it is as an export writes it. It
// writes nothing, and needs no more memory for a larger file. The file must stay open, and as it is, for [Import].
//
// Errors are a [*ForeignError] for what is no archive, a [*VersionError] for one of another format version, a
// [*DamagedError] for what is cut off or changed, and those of the file.
func Verify(ctx context.Context, file io.ReadSeeker) (*Archive, error) {
	a := &Archive{file: file}
	err := a.read(ctx, func(m Manifest) error {
		a.Manifest = m
		return nil
	}, func(r *reader, t Table) (TableSum, error) {
		rows, err := r.rows(t, "")
		if err != nil {
			return TableSum{}, err
		}
		if _, err := io.Copy(io.Discard, rows); err != nil {
			return TableSum{}, err
		}
		return rows.sum.sum(t.Name, rows.parts), nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// read reads the file once. It calls begin with the manifest, and table for each table, which reads that table's rows.
func (a *Archive) read(ctx context.Context, begin func(Manifest) error, table func(*reader, Table) (TableSum, error)) error {
	r, err := newReader(ctx, a.file)
	if err != nil {
		return err
	}
	defer r.close()
	text, err := r.json(manifestEntry)
	if err != nil {
		return err
	}
	manifest, err := parseManifest(text)
	if err == nil {
		err = begin(manifest)
	}
	if err == nil {
		err = r.next()
	}
	if err != nil {
		return err
	}
	found := Checksums{Manifest: hexSum(text)}
	for _, t := range manifest.Tables {
		sum, err := table(r, t)
		if err != nil {
			return err
		}
		found.Tables = append(found.Tables, sum)
	}
	if text, err = r.json(checksumsEntry); err != nil {
		return err
	}
	if err := parseChecksums(text, found); err != nil {
		return err
	}
	a.Checksums = found
	return r.end()
}
