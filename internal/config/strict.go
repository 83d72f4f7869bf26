package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/internal/setting"
)

// maxDepth bounds how deep the file may nest; our own structure needs five.
const maxDepth = 16

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[setting.Size]()
)

func typeOf[T any]() reflect.Type       { return reflect.TypeFor[T]() }
func valueOf(pointer any) reflect.Value { return reflect.ValueOf(pointer).Elem() }

// parseDocument returns the root of the file's only document, or nil if the
// file is empty.
func parseDocument(name string, content []byte) (*yaml.Node, error) {
	if at := iniFile.FindIndex(content); at != nil {
		line := 1 + bytes.Count(content[:at[1]], []byte("\n"))
		return nil, &Error{File: name, Line: line, Err: errors.New("this is a pgbouncer.ini file; pgseal's configuration is YAML (docs/pgbouncer.md maps the keys)")}
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxError(name, err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Error{File: name, Line: second.Line, Err: errors.New("file contains more than one YAML document")}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(name, err)
	}
	root := doc.Content[0]
	if isNull(root) {
		return nil, nil
	}
	return root, nil
}

// What the YAML package says of a file that is no text, without a line; and
// what its parser says, which counts lines from zero.
var (
	notText     = regexp.MustCompile(`UTF-|Unicode|surrogate|control characters`)
	countedFrom = regexp.MustCompile(`^did not find expected (key|node content|'-' indicator|',' or|<)`)
)

// syntaxError turns an error of the YAML package into one with a line: that
// in which the construct begins that can't be read. It repeats no name from
// the file: what looks like an alias may be a password that begins with a star.
func syntaxError(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if at, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
		if line, err = strconv.Atoi(at); err == nil {
			text = rest
		}
	}
	switch {
	case strings.HasPrefix(text, "unknown anchor"), strings.HasPrefix(text, "anchor"):
		return &Error{File: name, Err: errors.New("alias of an undefined anchor: quote a value that begins with *")}
	case notText.MatchString(text):
	case line == 0 || countedFrom.MatchString(text):
		line++
	}
	return &Error{File: name, Line: line, Err: errors.New(text)}
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Decode(new(string)) == nil
}

// walker compares the tree of the file with the Go types of the configuration. It
// records the line of each key, and expands environment variables.
type walker struct {
	file   string
	env    func(string) (string, bool)
	lines  map[string]int // by path
	depth  int
	faults []*Error

	variables map[string]bool // by path: the value holds ${NAME}

	expanded map[*yaml.Node]bool // an alias leads to a node again
}

func (w *walker) fault(line int, key string, err error) {
	w.faults = append(w.faults, &Error{File: w.file, Line: line, Key: key, Err: err})
}

// err returns all faults in the order of their lines, or nil.
func (w *walker) err() error {
	sort.SliceStable(w.faults, func(i, j int) bool { return w.faults[i].Line < w.faults[j].Line })
	var errs []error
	for _, f := range w.faults {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

func (w *walker) walk(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if w.depth++; w.depth > maxDepth {
		w.fault(n.Line, path, errors.New("nested too deeply"))
		return
	}
	defer func() { w.depth-- }()
	if t.Kind() == reflect.Pointer { // may be left out
		t = t.Elem()
	}
	if path != "" && w.lines[path] == 0 {
		w.lines[path] = n.Line
	}
	switch {
	case isNull(n):
	case t == durationType || t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice:
		w.scalar(n, t, path)
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			w.fault(n.Line, path, errors.New("must be a list, such as [a, b]"))
			return
		}
		for i, item := range n.Content {
			w.entry(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		w.mapping(n, t, path)
	}
}

// entry walks an entry of a list or a map. An empty one would be decoded to
// zero values instead of the defaults.
func (w *walker) entry(n *yaml.Node, t reflect.Type, path string) {
	if isNull(n) {
		w.fault(n.Line, path, errors.New("must not be empty"))
		return
	}
	w.walk(n, t, path)
}

// isWord reports whether a key is read as the text that it shows. Others are
// null, "<<", which merges, and !!binary.
func isWord(key *yaml.Node) bool {
	var word string
	return key.Kind == yaml.ScalarNode && key.Value != "" && key.ShortTag() != "!!merge" &&
		key.Decode(&word) == nil && word == key.Value
}

// mapping walks the keys of a struct or a map.
func (w *walker) mapping(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		w.fault(n.Line, path, errors.New("must be a mapping, such as {host: db.internal, port: 5432}"))
		return
	}
	var known map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		known = keysOf(t)
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if !isWord(key) {
			w.fault(key.Line, path, errors.New("contains a key that is not a plain string"))
			continue
		}
		if line, ok := seen[key.Value]; ok {
			w.fault(key.Line, at, fmt.Errorf("duplicate key, already set in line %d", line))
			continue
		}
		seen[key.Value] = key.Line
		w.lines[at] = key.Line
		switch elem, ok := known[key.Value]; {
		case known == nil:
			w.entry(value, t.Elem(), at)
		case ok:
			w.walk(value, elem, at)
		default:
			w.fault(key.Line, at, unknownKey(key.Value, known))
		}
	}
}

// keysOf returns the keys that a struct takes, with those of structs inlined
// in it.
func keysOf(t reflect.Type) map[string]reflect.Type {
	keys := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if flags == "inline" {
			maps.Copy(keys, keysOf(f.Type))
		} else if name != "" && name != "-" {
			keys[name] = f.Type
		}
	}
	return keys
}

// gone maps keys that were removed to what to use instead.
var gone = map[string]string{
	"set_role": "no longer supported: give each role a database entry with that user, " +
		"or omit user so that servers log in as the client's role",
	"engine":     "no longer supported: event loops are used wherever the system provides them; remove this key",
	"hosts_file": "no longer supported: write an entry of certificates with server_names, cert_file and key_file for each of its lines",
}

// now explains keys whose values used to have another meaning.
var now = map[string]string{
	"stamp_identity": "it no longer names a parameter but adds the client's identity to application_name, as in psql [cert:CN=orders]",
}

// lastKey returns the last key of a path.
func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// unknownKey suggests what a key may have been meant to be: a similar one of the
// same struct, PgBouncer's, or the one of that name in other sections.
func unknownKey(key string, known map[string]reflect.Type) error {
	if instead, ok := gone[key]; ok {
		return errors.New(instead)
	}
	best, least := "", 3
	for k := range known {
		if d := distance(key, k); d < least || d == least && k < best {
			best, least = k, d
		}
	}
	meant, theirs := pgbouncer[key]
	elsewhere := sections()[key]
	switch {
	case theirs:
		return fmt.Errorf("unknown key: PgBouncer's %s is %s", key, meant)
	case best != "":
		return fmt.Errorf("unknown key; did you mean %q?", best)
	case len(elsewhere) > 0:
		return fmt.Errorf("unknown key here; it belongs in %s", strings.Join(elsewhere, " or "))
	}
	return errors.New("unknown key")
}

// sections returns the sections that have each key, such as pool or
// databases.NAME.
var sections = sync.OnceValue(func() map[string][]string {
	found := map[string][]string{}
	var note func(t reflect.Type, path string)
	note = func(t reflect.Type, path string) {
		switch {
		case t.Kind() == reflect.Slice:
			note(t.Elem(), path+"[]")
		case t.Kind() == reflect.Map:
			note(t.Elem(), path+".NAME")
		case t.Kind() == reflect.Struct:
			keys := keysOf(t)
			for _, name := range slices.Sorted(maps.Keys(keys)) {
				if path != "" {
					found[name] = append(found[name], path)
				}
				note(keys[name], join(path, name))
			}
		}
	}
	note(typeOf[File](), "")
	return found
})

// distance returns how many letters have to be changed, added or removed to
// turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// scalar checks one value, after expanding its environment variables. Errors never
// contain the value: it may be a secret.
func (w *walker) scalar(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode {
		w.fault(n.Line, path, errors.New("must be a scalar"))
		return
	}
	if !w.expand(n, t, path) {
		return
	}
	whole := t.Kind() != reflect.Int || n.ShortTag() == "!!int" // the decoder cuts fractions off
	if whole && n.Decode(reflect.New(t).Interface()) == nil {
		return
	}
	switch {
	case t == durationType:
		w.fault(n.Line, path, errors.New("must be a duration with a unit, such as 15s, 10m or 1h"))
	case t == sizeType:
		w.fault(n.Line, path, errors.New("must be a size with a unit, such as 8KiB"))
	case t.Kind() == reflect.Bool && now[lastKey(path)] != "":
		w.fault(n.Line, path, errors.New("must be true or false: "+now[lastKey(path)]))
	case t.Kind() == reflect.Bool:
		w.fault(n.Line, path, errors.New("must be true or false"))
	case t.Kind() == reflect.Int:
		w.fault(n.Line, path, errors.New("must be an integer"))
	default:
		w.fault(n.Line, path, fmt.Errorf("must be a %s", t.Kind()))
	}
}

// validate calls Validate of each struct of the configuration.
func (w *walker) validate(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		if c, ok := v.Interface().(interface{ Validate() error }); ok && !promoted(v.Type()) {
			w.keyErrors(c.Validate(), path)
		}
		for i := range v.NumField() {
			name, flags, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			if flags == "inline" {
				w.validate(v.Field(i), path)
			} else if name != "" {
				w.validate(v.Field(i), join(path, name))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			w.validate(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			w.validate(v.MapIndex(k), join(path, k.String()))
		}
	}
}

// promoted reports whether a struct only wraps another one that is inlined in
// it and whose methods it promotes.
func promoted(t reflect.Type) bool { return t.NumField() == 1 && t.Field(0).Anonymous }

// keyErrors adds the *setting.Errors in err as faults of their keys.
func (w *walker) keyErrors(err error, path string) {
	if err == nil {
		return
	}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range list.Unwrap() {
			w.keyErrors(e, path)
		}
		return
	}
	var bad *setting.Error
	if !errors.As(err, &bad) {
		w.faultAt(path, err)
		return
	}
	w.faultAt(join(path, bad.Key), bad.Err)
}

// faultAt notes a fault of a key where it stands, or the nearest enclosing one.
func (w *walker) faultAt(key string, err error) { w.fault(nearest(w.lines, key), key, err) }

// nearest returns the line of a key, or of the nearest enclosing one in the
// file, or 0.
func nearest(lines map[string]int, path string) int {
	for {
		if line := lines[path]; line > 0 {
			return line
		}
		end := strings.LastIndexAny(path, ".[")
		if end < 0 {
			return 0
		}
		path = path[:end]
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
