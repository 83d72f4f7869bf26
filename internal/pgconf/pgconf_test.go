package pgconf

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// files is a Source in memory. Its paths begin with a slash.
type files map[string]string

func (f files) fs() fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range f {
		m[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func (f files) ReadFile(name string) ([]byte, error) {
	return f.fs().ReadFile(strings.TrimPrefix(path.Clean(name), "/"))
}

func (f files) ReadDir(name string) ([]fs.DirEntry, error) {
	return f.fs().ReadDir(strings.TrimPrefix(path.Clean(name), "/"))
}

// text writes a line with | between fields and , between tokens, and quotes
// around those that were quoted.
func text(l Line) string {
	var fields []string
	for _, field := range l.Fields {
		var tokens []string
		for _, t := range field {
			if t.Quoted {
				t.Text = `"` + t.Text + `"`
			}
			tokens = append(tokens, t.Text)
		}
		fields = append(fields, strings.Join(tokens, ","))
	}
	return strings.Join(fields, "|")
}

func TestALineIsCutAsPostgreSQLCutsIt(t *testing.T) {
	for given, want := range map[string]string{
		"a b\tc # d":       "a|b|c",
		"a, b ,c d":        "a,b|c|d", // a blank before the comma ends the field
		`"a b",c "d""e"`:   `"a b",c|"d"e"`,
		`a "" b`:           `a|""|b`,
		`x"y z"`:           "xy z",
		"a \\\nb":          "a|b",
		"# nothing at all": "",
	} {
		lines, faults := ReadText(files{}, "/f", given)
		got := ""
		for _, l := range lines {
			got += text(l)
		}
		if len(faults) > 0 || got != want {
			t.Errorf("%q is cut into %q, want %q (%v)", given, got, want, faults)
		}
	}
}

func TestEachFaultNamesItsFileAndLineAndGoodLinesRemain(t *testing.T) {
	lines, err := Read(files{"/f": "a\n\nb\x00\ninclude g\n@missing\nc", "/g": "x \\\ny\ninclude /none\n"}, "/f")
	var got []string
	for _, l := range lines {
		got = append(got, text(l))
	}
	if !slices.Equal(got, []string{"a", "x|y", "c"}) {
		t.Errorf("lines %q", got)
	}
	for _, want := range []string{"/f:3: NUL byte", "/g:3: ", "/f:5: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestFilesThatIncludeEachOtherEnd(t *testing.T) {
	for _, f := range []files{{"/f": "include f"}, {"/f": "@f"}, {"/f": "include_dir d", "/d/x.conf": "include_dir ."}} {
		if _, err := Read(f, "/f"); err == nil || !strings.Contains(err.Error(), "nesting depth") {
			t.Errorf("%v: %v", f, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"a b,c \"d e\" # f\n", "include g\n", "@f,\"\"\\\n", "include_dir .\n\"", "a,\n,b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		lines, err := Read(files{"/f": content, "/g": "x y"}, "/f")
		for _, l := range lines {
			if len(l.Fields) == 0 || slices.ContainsFunc(l.Fields, func(field []Token) bool { return len(field) == 0 }) {
				t.Fatalf("line %d has an empty field", l.Number)
			}
			if l.Number < 1 || l.File != "/f" && l.File != "/g" {
				t.Fatalf("a line of %s:%d", l.File, l.Number)
			}
		}
		if err == nil && strings.Contains(content, "\x00") {
			t.Fatal("a NUL byte passed")
		}
	})
}
