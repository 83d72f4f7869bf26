package pgconf

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what inclusion may bring in, so that files that name each other
// cost neither time nor memory. The depth is PostgreSQL's.
const (
	maxDepth = 10
	maxFiles = 1000
	maxLines = 100_000
)

// Source gives files to the parser. Paths are absolute, or relative to where
// pgseal runs.
type Source interface {
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) ([]fs.DirEntry, error)
}

// An Error is a fault of one line.
type Error struct {
	File string
	Line int // 0 where it concerns the file as a whole
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// reader cuts a file and what it includes into lines. Faults are collected, so
// that all of them are told at once.
type reader struct {
	source Source
	files  int
	lines  []Line
	errs   []error
}

func (r *reader) fault(file string, number int, err error) {
	r.errs = append(r.errs, &Error{File: file, Line: number, Err: err})
}

// open reads a file.
func (r *reader) open(path string, depth int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("%s: maximum nesting depth exceeded", path)
	}
	if r.files++; r.files > maxFiles {
		return "", fmt.Errorf("%s: more than %d files are included", path, maxFiles)
	}
	content, err := r.source.ReadFile(path)
	return string(content), err
}

// text takes the lines of a file. name is what errors call it, and where
// relative paths in it start from.
func (r *reader) text(name, content string, depth int) {
	lines, numbers := splitLines(content)
	for i, text := range lines {
		if len(r.lines) >= maxLines {
			r.fault(name, numbers[i], fmt.Errorf("more than %d lines", maxLines))
			return
		}
		if strings.IndexByte(text, 0) >= 0 {
			r.fault(name, numbers[i], errors.New("NUL byte in the line"))
			continue
		}
		l := Line{File: name, Number: numbers[i]}
		var err error
		if l.Fields, err = r.fields(name, text, depth); err != nil {
			r.fault(name, l.Number, err)
			continue
		}
		if len(l.Fields) == 0 {
			continue
		}
		included, err := r.directive(l, depth)
		if err != nil {
			r.fault(name, l.Number, err)
		} else if !included {
			r.lines = append(r.lines, l)
		}
	}
}

// fields cuts a line into its fields, with the content of @files in place of
// their names.
func (r *reader) fields(name, text string, depth int) (fields [][]Token, err error) {
	s := scanner{text}
	for s.rest != "" {
		field, err := r.field(&s, name, depth)
		if err != nil {
			return nil, err
		}
		if len(field) > 0 {
			fields = append(fields, field)
		}
	}
	return fields, nil
}

func (r *reader) field(s *scanner, name string, depth int) (field []Token, err error) {
	for comma := true; comma; {
		var t Token
		var ok bool
		if t, comma, ok = s.next(); !ok {
			break
		}
		if t.Quoted || len(t.Text) < 2 || t.Text[0] != '@' {
			field = append(field, t)
			continue
		}
		listed, err := r.list(resolve(name, t.Text[1:]), depth+1)
		if err != nil {
			return nil, err
		}
		field = append(field, listed...)
	}
	return field, nil
}

// list returns all tokens of an @file.
func (r *reader) list(path string, depth int) ([]Token, error) {
	content, err := r.open(path, depth)
	if err != nil {
		return nil, err
	}
	inner := &reader{source: r.source, files: r.files}
	inner.text(path, content, depth)
	r.files = inner.files
	if len(inner.errs) > 0 {
		return nil, errors.Join(inner.errs...)
	}
	var all []Token
	for _, l := range inner.lines {
		all = append(all, slices.Concat(l.Fields...)...)
	}
	return all, nil
}

// directive follows a line that includes others, and reports whether it is one.
func (r *reader) directive(l Line, depth int) (bool, error) {
	if len(l.Fields) != 2 {
		return false, nil
	}
	path := resolve(l.File, l.Fields[1][0].Text)
	switch l.Fields[0][0].Text {
	case "include":
		return true, r.include(path, depth+1)
	case "include_if_exists":
		err := r.include(path, depth+1)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return true, err
	case "include_dir":
		return true, r.includeDir(path, depth+1)
	}
	return false, nil
}

func (r *reader) include(path string, depth int) error {
	content, err := r.open(path, depth)
	if err != nil {
		return err
	}
	r.text(path, content, depth)
	return nil
}

// includeDir includes the files of a directory whose names end in .conf and do
// not begin with a dot, in the order of their names' bytes.
func (r *reader) includeDir(path string, depth int) error {
	entries, err := r.source.ReadDir(path)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || len(name) < len("x.conf") || name[0] == '.' || !strings.HasSuffix(name, ".conf") {
			continue
		}
		if err := r.include(filepath.Join(path, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// resolve returns the path that a file names, which starts from its directory.
func resolve(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// Read cuts the file at path, and those that it includes, into lines. All
// faults are reported together, each of a line as an *Error; the lines that
// have none are returned all the same.
func Read(source Source, path string) ([]Line, error) {
	r := &reader{source: source}
	if err := r.include(path, 0); err != nil {
		return nil, err
	}
	return r.lines, errors.Join(r.errs...)
}

// ReadText is Read for text that stands elsewhere. name is what errors call it;
// files that it names start from its directory.
func ReadText(source Source, name, text string) (lines []Line, faults []error) {
	r := &reader{source: source}
	r.text(name, text, 0)
	return r.lines, r.errs
}
