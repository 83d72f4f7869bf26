// Package pgseal_test keeps the rules of the house that no compiler checks:
// docs/architecture.md says why they are there.
package pgseal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pgseal/pgseal/"

const (
	maxFileCode     = 500 // lines without blanks and comments
	maxFunctionSpan = 80  // lines from func to the closing brace
)

// mayImport lists, for each package, which of our packages it may import
// outside of tests. Data flows one way: cmd, app, config, proxy, pool, tlsconf,
// and the leaves below.
var mayImport = map[string][]string{
	"cmd/pgseal":            {"internal/app", "internal/doctor", "internal/config", "pool/backend", "tlsconf", "internal/auth", "internal/wire", "internal/devca", "internal/pgcluster"},
	"internal/app":          {"internal/config", "proxy", "proxy/login", "pool", "tlsconf", "internal/auth", "internal/engine", "internal/wire", "internal/httpd", "internal/metrics", "internal/console", "internal/status", "internal/reload", "internal/stats"},
	"internal/doctor":       {"internal/config", "proxy", "proxy/login", "pool", "pool/backend", "tlsconf", "internal/auth", "internal/auth/hba", "internal/ldap", "internal/wire", "internal/httpd", "internal/console", "internal/reload"},
	"internal/config":       {"proxy", "proxy/login", "pool", "tlsconf", "internal/httpd", "internal/setting"},
	"proxy":                 {"pool", "tlsconf", "internal/auth", "internal/engine", "internal/sqlscan", "internal/wire", "internal/stats", "proxy/guard", "proxy/login", "proxy/relay", "internal/reload", "internal/setting", "internal/console"},
	"proxy/guard":           {},
	"proxy/login":           {"pool", "tlsconf", "internal/auth", "internal/auth/hba", "internal/auth/answers", "internal/engine", "internal/ldap", "internal/reload", "internal/setting", "internal/stats", "internal/wire", "proxy/guard"},
	"proxy/relay":           {"internal/sqlscan", "internal/wire", "proxy/relay/effects", "proxy/relay/names", "proxy/relay/params", "proxy/relay/prepared", "proxy/relay/ownsql"},
	"proxy/relay/effects":   {"internal/sqlscan"},
	"proxy/relay/names":     {"proxy/relay/effects", "proxy/relay/prepared"},
	"proxy/relay/params":    {"internal/wire"},
	"proxy/relay/prepared":  {"internal/wire", "proxy/relay/effects", "proxy/relay/params"},
	"proxy/relay/ownsql":    {"internal/wire", "proxy/relay/effects", "proxy/relay/params", "proxy/relay/prepared"},
	"pool":                  {"pool/backend", "tlsconf", "internal/auth", "internal/engine", "internal/wire", "internal/stats", "internal/reload", "internal/setting"},
	"pool/backend":          {"tlsconf", "internal/auth", "internal/engine", "internal/wire", "internal/stats"},
	"tlsconf":               {"internal/reload", "internal/setting", "internal/stats"},
	"internal/auth":         {},
	"internal/auth/hba":     {"internal/pgconf"},
	"internal/engine":       {"internal/stats"},
	"internal/ldap":         {"internal/auth/hba"},
	"internal/sqlscan":      {},
	"internal/wire":         {},
	"internal/devca":        {},
	"internal/pgcluster":    {},
	"internal/auth/answers": {},
	"internal/pgconf":       {},
	"internal/reload":       {"internal/stats"},
	"internal/setting":      {},
	"internal/metrics":      {"internal/stats"},
	"internal/httpd":        {"tlsconf", "internal/reload", "internal/setting"},
	"internal/stats":        {},
	"internal/pgfake":       {"internal/auth", "internal/devca"},
	"internal/status":       {"internal/stats", "internal/wire"},
	"internal/console":      {"internal/stats", "internal/wire"},

	"internal/pgmodel":               {"internal/pgmodel/parser", "internal/wire"},
	"internal/pgmodel/parser":        {},
	"internal/pgmodel/randomsession": {"internal/wire"},
}

// source is a parsed Go file of any of our modules.
type source struct {
	path string // from the root, with slashes
	fset *token.FileSet
	file *ast.File
	text []byte
}

func (s source) test() bool  { return strings.HasSuffix(s.path, "_test.go") }
func (s source) dir() string { return filepath.ToSlash(filepath.Dir(s.path)) }

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		list = append(list, source{filepath.ToSlash(path), fset, file, text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(list))
	}
	return list
}

func TestImportsRunDownwardOnly(t *testing.T) {
	for _, s := range sources(t) {
		dir := s.dir()
		if s.test() || dir == "." || strings.HasPrefix(dir, "integration") || strings.HasPrefix(dir, "bench") {
			continue
		}
		allowed, ok := mayImport[dir]
		if !ok {
			t.Errorf("%s: package %s has no place in mayImport", s.path, dir)
			continue
		}
		for _, spec := range s.file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(path, module); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which is not below it", s.path, ours)
			}
			if strings.Contains(path, "prometheus/") && dir != "internal/metrics" {
				t.Errorf("%s imports the metrics client; only internal/metrics may, which is internal/app's", s.path)
			}
		}
	}
}

func TestEveryPackageHasADocFileThatSaysWhatItIs(t *testing.T) {
	docs := map[string]bool{}
	all := sources(t)
	for _, s := range all {
		if filepath.Base(s.path) == "doc.go" && s.file.Doc != nil && len(s.file.Doc.Text()) > 100 {
			docs[s.dir()] = true
		}
	}
	for _, s := range all {
		if dir := s.dir(); dir != "." && !docs[dir] {
			docs[dir] = true // say it once
			t.Errorf("%s has no doc.go with a package comment worth the name", dir)
		}
	}
}

func TestNoFileAndNoFunctionGrowsTooLarge(t *testing.T) {
	for _, s := range sources(t) {
		if n := codeLines(s); n > maxFileCode {
			t.Errorf("%s has %d lines of code, more than %d: split the room", s.path, n, maxFileCode)
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if span := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; span > maxFunctionSpan {
				t.Errorf("%s: %s spans %d lines, more than %d", s.path, f.Name.Name, span, maxFunctionSpan)
			}
		}
	}
}

// codeLines counts the lines that hold more than blanks and comments.
func codeLines(s source) int {
	comment := map[int]bool{}
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			first, last := s.fset.Position(c.Pos()), s.fset.Position(c.End())
			for line := first.Line; line <= last.Line; line++ {
				comment[line] = true
			}
		}
	}
	n := 0
	for i, line := range strings.Split(string(s.text), "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || comment[i+1] && strings.HasPrefix(trimmed, "//") {
			continue
		}
		n++
	}
	return n
}

func TestPgproto3NeverDecodesOutsideOfTests(t *testing.T) {
	banned := []string{"Receive", "ReceiveStartupMessage", "Decode", "NewBackend", "NewFrontend", "NewChunkReader"}
	for _, s := range sources(t) {
		if s.test() || !importsPgproto3(s) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(banned, sel.Sel.Name) {
				t.Errorf("%s: %s of pgproto3 panics, hangs or allocates on malformed input; decode with internal/wire",
					s.fset.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func importsPgproto3(s source) bool {
	return slices.ContainsFunc(s.file.Imports, func(spec *ast.ImportSpec) bool {
		return strings.Contains(spec.Path.Value, "jackc/pgproto3")
	})
}

// secretName matches what holds a secret, by its name.
var secretName = regexp.MustCompile(`(?i)(password|secret|storedkey|serverkey|clientkey|proof|signature)s?$`)

// A comparison that ends at the first byte that differs tells, by its time, how
// many were right. Whether a secret is there at all may be asked.
func TestSecretsAreComparedInConstantTimeOnly(t *testing.T) {
	equals := []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "strings.EqualFold", "strings.Compare", "reflect.DeepEqual"}
	rooms := []string{"internal/auth", "internal/httpd", "internal/ldap", "pool", "pool/backend", "proxy", "proxy/login"}
	constant := 0
	for _, s := range sources(t) {
		if s.test() || !slices.Contains(rooms, s.dir()) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && (holdsSecret(n.X) && !isEmpty(n.Y) || holdsSecret(n.Y) && !isEmpty(n.X)) {
					t.Errorf("%s: a secret is compared by %s", s.fset.Position(n.Pos()), n.Op)
				}
			case *ast.CallExpr:
				name := dotted(n.Fun)
				if name == "subtle.ConstantTimeCompare" {
					constant++
				}
				if slices.Contains(equals, name) && slices.ContainsFunc(n.Args, holdsSecret) {
					t.Errorf("%s: a secret is compared by %s", s.fset.Position(n.Pos()), name)
				}
			}
			return true
		})
	}
	if constant < 4 { // both roles of SCRAM, passwords in the clear, cancel keys
		t.Errorf("only %d comparisons are in constant time", constant)
	}
}

func holdsSecret(e ast.Expr) bool {
	name := dotted(e)
	if name == "hba.Password" || strings.HasPrefix(name, "wire.") { // a method, types of messages, codes
		return false
	}
	return secretName.MatchString(name[strings.LastIndex(name, ".")+1:])
}

// isEmpty reports whether e asks for the absence of something, or is a constant.
func isEmpty(e ast.Expr) bool {
	if _, literal := e.(*ast.BasicLit); literal {
		return true
	}
	return dotted(e) == "nil"
}

// dotted returns an expression of names and dots as it is written, else "".
func dotted(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return dotted(e.X) + "." + e.Sel.Name
	}
	return ""
}

const (
	maxPackageFiles = 25
	maxPackageCode  = 3500 // lines without blanks and comments
	maxFields       = 25
	maxMethods      = 40
)

func within(t *testing.T, what string, n, limit int, of string) {
	t.Helper()
	if n > limit {
		t.Errorf("%s has %d %s, more than %d: divide it by purpose", what, n, of, limit)
	}
}

func TestNoPackageAndNoTypeIsCrowded(t *testing.T) {
	files, lines, methods := map[string]int{}, map[string]int{}, map[string]int{}
	for _, s := range sources(t) {
		dir := s.dir()
		if s.test() || dir == "." || strings.HasPrefix(dir, "integration") || strings.HasPrefix(dir, "bench") {
			continue
		}
		files[dir]++
		lines[dir] += codeLines(s)
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv != nil {
					methods[dir+"."+receiver(decl.Recv.List[0].Type)]++
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					if spec, ok := spec.(*ast.TypeSpec); ok {
						if body, ok := spec.Type.(*ast.StructType); ok && !configures(body) {
							within(t, dir+"."+spec.Name.Name+"{}", body.Fields.NumFields(), maxFields, "fields")
						}
					}
				}
			}
		}
	}
	for dir := range files {
		within(t, dir+"/", files[dir], maxPackageFiles, "files")
		within(t, dir, lines[dir], maxPackageCode, "lines of code")
	}
	for name, n := range methods {
		within(t, name, n, maxMethods, "methods")
	}
}

// receiver returns the name of a method's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

// configures reports whether a type mirrors a block of the configuration.
func configures(body *ast.StructType) bool {
	for _, f := range body.Fields.List {
		if f.Tag != nil && strings.Contains(f.Tag.Value, "yaml:") {
			return true
		}
	}
	return false
}

// The map in docs/architecture.md says where to change what.
func TestTheMapNamesFilesThatAreThere(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Where to change what\n")
	if !found {
		t.Fatal("docs/architecture.md has no map")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	entries := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| to change") || strings.HasPrefix(line, "| ---") {
			continue
		}
		entries++
		names := regexp.MustCompile("`([^` ]+)`").FindAllStringSubmatch(line[strings.LastIndex(strings.TrimRight(line, " |\n"), " | "):], -1)
		if len(names) == 0 {
			t.Errorf("the map names no file in %q", line)
		}
		for _, name := range names {
			if _, err := os.Stat(name[1]); err != nil {
				t.Errorf("the map names %s: %v", name[1], err)
			}
		}
	}
	if entries < 30 {
		t.Errorf("the map has %d entries, and should have 30", entries)
	}
}

// One release of Go builds everything: the modules, and the container.
func TestOneReleaseOfGoIsNamedEverywhere(t *testing.T) {
	names := map[string]*regexp.Regexp{"Dockerfile": regexp.MustCompile(`(?m)^FROM golang:([0-9.]+)-`)}
	for _, dir := range []string{"", "integration/", "bench/", "tools/"} {
		names[dir+"go.mod"] = regexp.MustCompile(`(?m)^toolchain go([0-9.]+)$`)
	}
	releases := map[string]bool{}
	for name, pattern := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := pattern.FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s names no release of Go", name)
		}
		releases[string(found[1])] = true
	}
	if len(releases) != 1 {
		t.Errorf("releases of Go are named: %v", slices.Sorted(maps.Keys(releases)))
	}
}
