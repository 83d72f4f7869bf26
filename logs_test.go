package pgseal_test

import (
	"go/ast"
	"go/token"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logLine is one kind of line of the log.
type logLine struct {
	message, level string
	keys           []string
}

// logRow is a row of docs/logs.md: message, level and keys.
var logRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (debug|info|warn|error) \\| ([^|]*)\\|")

// loggedLines finds the calls that write to a log, in the code that is not a
// test of pgseal itself.
func loggedLines(t *testing.T) []logLine {
	t.Helper()
	var list []logLine
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.path, "bench/") || strings.HasPrefix(s.path, "integration/") {
			continue
		}
		if s.path == "proxy/audit.go" {
			continue // a stream of its own: docs/audit.md
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !isLog(method.X) || len(call.Args) == 0 {
				return true
			}
			level := strings.ToLower(method.Sel.Name)
			if !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
				return true
			}
			message, ok := stringLiteral(call.Args[0])
			if !ok {
				t.Errorf("%s: the message of a log line is not constant", s.fset.Position(call.Pos()))
				return true
			}
			list = append(list, logLine{message, level, zapKeys(call.Args[1:])})
			return true
		})
	}
	return list
}

// isLog reports whether an expression is a logger, by its name.
func isLog(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "log"
	case *ast.SelectorExpr:
		return x.Sel.Name == "log"
	}
	return false
}

func stringLiteral(x ast.Expr) (string, bool) {
	lit, ok := x.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// zapKeys returns the keys that stand in the arguments of a log line.
func zapKeys(args []ast.Expr) (keys []string) {
	for _, arg := range args {
		ast.Inspect(arg, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "zap" {
				return true
			}
			switch f.Sel.Name {
			case "Error":
				keys = append(keys, "error")
			case "Stack":
				keys = append(keys, "stack")
			default:
				if key, ok := stringLiteral(call.Args[0]); ok {
					keys = append(keys, key)
				}
			}
			return true
		})
	}
	return keys
}

func TestEveryLineOfTheLogIsDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		keys string
		used bool
	}
	rows := map[[2]string]*row{}
	for _, m := range logRow.FindAllStringSubmatch(string(page), -1) {
		rows[[2]string{m[1], m[2]}] = &row{keys: m[3]}
	}
	lines := loggedLines(t)
	if len(lines) < 30 {
		t.Fatalf("only %d lines were found in the code", len(lines))
	}
	for _, l := range lines {
		r := rows[[2]string{l.message, l.level}]
		if r == nil {
			t.Errorf("docs/logs.md lacks %q at level %s", l.message, l.level)
			continue
		}
		r.used = true
		for _, key := range l.keys {
			if !strings.Contains(r.keys, "`"+key+"`") {
				t.Errorf("docs/logs.md lacks the key %q of %q", key, l.message)
			}
		}
	}
	for id, r := range rows {
		if !r.used {
			t.Errorf("docs/logs.md tells of %q at level %s, which nothing writes", id[0], id[1])
		}
	}
}

// zap's sampler counts by the hash of level and message. Two messages in one
// counter would be left out for one another.
func TestNoTwoLinesOfTheLogShareACounterOfZapsSampler(t *testing.T) {
	shared := zapcore.SamplerHook(func(e zapcore.Entry, decision zapcore.SamplingDecision) {
		if decision == zapcore.LogDropped {
			t.Errorf("%q at level %s hits the counter of another message: word it differently", e.Message, e.Level)
		}
	})
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zapcore.DebugLevel)
	log := zap.New(zapcore.NewSamplerWithOptions(core, time.Hour, 1, 0, shared))
	levels := map[string]string{}
	for _, l := range loggedLines(t) {
		switch level, known := levels[l.message]; {
		case l.level == "error": // none is left out
		case !known:
			levels[l.message] = l.level
			level, err := zapcore.ParseLevel(l.level)
			if err != nil {
				t.Fatal(err)
			}
			log.Log(level, l.message)
		case level != l.level:
			t.Errorf("%q is written at the levels %s and %s, which are counted apart", l.message, level, l.level)
		}
	}
}
