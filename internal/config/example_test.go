package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/tlsconf"
)

// samples are the keys that have no default, for which the example holds
// something that makes sense.
var samples = []string{
	"listen[].address",
	"listen[].tls.cert_file",
	"listen[].tls.key_file",
	"listen[].tls.certificates[].cert_file",
	"listen[].tls.certificates[].key_file",
	"databases.*.host",
	"databases.*.sslrootcert",
	"auth.users_file",
}

// commented matches a key without a default, which stands behind a #.
var commented = regexp.MustCompile(`(?m)^( +)# ([a-z_]+:.*?)( +# .*)$`)

// readAll returns the example with all keys in force, readExample as it is.
func readAll(t *testing.T) string {
	t.Helper()
	return commented.ReplaceAllString(readExample(t), "$1$2  $3")
}

func readExample(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// field is a key of the configuration: its path, with [] for a list's entry
// and * for a map's, and what it holds.
type field struct {
	path  string
	value reflect.Value
}

// fields lists the keys that the code knows, in the order of the code, with
// their values in v.
func fields(v reflect.Value, path string) []field {
	switch v.Kind() {
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		return fields(v.Index(0), path+"[]")
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		return fields(v.MapIndex(v.MapKeys()[0]), path+".*")
	case reflect.Struct:
	default:
		return nil
	}
	var list []field
	for i := range v.NumField() {
		name, flags, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if flags == "inline" {
			list = append(list, fields(v.Field(i), path)...)
		} else if name != "" {
			at := join(path, name)
			list = append(list, field{at, v.Field(i)})
			list = append(list, fields(v.Field(i), at)...)
		}
	}
	return list
}

// paths lists the keys of a YAML document in their order.
func paths(n *yaml.Node, path string, inMap bool) []string {
	var list []string
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			list = append(list, paths(item, path+"[]", false)...)
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i].Value
			at := join(path, name)
			if inMap {
				at = join(path, "*")
			} else {
				list = append(list, at)
			}
			list = append(list, paths(n.Content[i+1], at, at == "databases" || at == "users")...)
		}
	}
	return list
}

// ofDefaults is a configuration of defaults with an entry in each list and map.
func ofDefaults() *File {
	f := Default()
	f.Listen = []Listen{{proxy.DefaultListenConfig()}}
	f.Listen[0].TLS.Certificates = []tlsconf.CertificateConfig{{}}
	f.Databases = map[string]Database{"app": {pool.DefaultDatabaseConfig()}}
	f.Users = map[string]pool.UserConfig{"app": {}}
	return &f
}

func TestTheExampleHoldsEachKeyOfTheCodeOnceAndInItsOrder(t *testing.T) {
	root, err := parseDocument("config.example.yaml", []byte(readAll(t)))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range fields(valueOf(ofDefaults()), "") {
		want = append(want, f.path)
	}
	got := paths(root, "", false)
	if !slices.Equal(got, want) {
		for _, path := range want {
			if !slices.Contains(got, path) {
				t.Errorf("%s is missing", path)
			}
		}
		for _, path := range got {
			if !slices.Contains(want, path) {
				t.Errorf("%s is no key that the code knows", path)
			}
		}
		t.Errorf("the keys are\n%v\nwant\n%v", got, want)
	}
	if len(want) < 30 {
		t.Errorf("only %d keys were compared", len(want))
	}
}

func TestTheKeysOfTheExampleAreThoseThatTheParserTakes(t *testing.T) {
	var known []string
	var collect func(reflect.Type, string)
	collect = func(typ reflect.Type, path string) {
		switch {
		case typ.Kind() == reflect.Slice:
			collect(typ.Elem(), path+"[]")
		case typ.Kind() == reflect.Map:
			collect(typ.Elem(), path+".*")
		case typ.Kind() == reflect.Struct:
			for key, value := range keysOf(typ) {
				known = append(known, join(path, key))
				collect(value, join(path, key))
			}
		}
	}
	collect(typeOf[File](), "")
	root, err := parseDocument("config.example.yaml", []byte(readAll(t)))
	if err != nil {
		t.Fatal(err)
	}
	got := paths(root, "", false)
	slices.Sort(got)
	slices.Sort(known)
	if !slices.Equal(got, known) {
		t.Errorf("the keys are\n%v\nwant\n%v", got, known)
	}
}

func TestTheExampleIsValidAndHoldsTheDefaults(t *testing.T) {
	f, err := Parse("config.example.yaml", []byte(readExample(t)), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	for _, field := range fields(valueOf(&f), "") {
		got[field.path] = field.value.Interface()
	}
	sampled := 0
	for _, field := range fields(valueOf(ofDefaults()), "") {
		switch field.value.Kind() {
		case reflect.Struct, reflect.Slice, reflect.Map:
			continue
		}
		have, there := got[field.path]
		want := field.value.Interface()
		if slices.Contains(samples, field.path) {
			sampled++
			if !field.value.IsZero() || reflect.ValueOf(have).IsZero() {
				t.Errorf("%s is said to have no default: it is %v and in the example %v", field.path, want, have)
			}
		} else if there && have != want {
			t.Errorf("%s is %v, the default is %v", field.path, have, want)
		}
	}
	if sampled != len(samples) {
		t.Errorf("%d of %d samples stand in the example", sampled, len(samples))
	}
}

// What has no default stands behind a #, and what stands there has none.
func TestTheKeysOfTheExampleThatAreNotInForceHaveNoDefault(t *testing.T) {
	if _, err := Parse("config.example.yaml", []byte(readAll(t)), noEnv); err != nil {
		t.Errorf("with all keys in force: %v", err)
	}
	root, err := parseDocument("config.example.yaml", []byte(readExample(t)))
	if err != nil {
		t.Fatal(err)
	}
	inForce := paths(root, "", false)
	for _, field := range fields(valueOf(ofDefaults()), "") {
		if field.value.Kind() == reflect.Pointer && slices.Contains(inForce, field.path) {
			t.Errorf("%s has no default and is in force", field.path)
		}
		if !slices.Contains(inForce, field.path) && !field.value.IsZero() {
			t.Errorf("%s has a default and is not in force", field.path)
		}
	}
}

func TestEachKeyOfTheExampleHasItsLineOfMeaning(t *testing.T) {
	key := regexp.MustCompile(`^( *(?:- )?)([a-z_]+):(?: (\S.*?))?(?: +# (.+))?$`)
	meanings := map[string]string{}
	column := 0
	for i, line := range strings.Split(strings.TrimSuffix(readAll(t), "\n"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := key.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("line %d is no key with a value and a comment: %q", i+1, line)
			continue
		}
		if len(m[4]) < 8 {
			t.Errorf("line %d: %s has no meaning", i+1, m[2])
			continue
		}
		if other, twice := meanings[m[4]]; twice && other != m[2] {
			t.Errorf("line %d: %s and %s are said to mean the same", i+1, m[2], other)
		}
		meanings[m[4]] = m[2]
		at := strings.Index(line, " # ")
		if column == 0 {
			column = at
		}
		if at != column {
			t.Errorf("line %d: the comment is at column %d, others at %d", i+1, at, column)
		}
		if len(line) > 120 || strings.ContainsRune(line, '\t') || strings.TrimRight(line, " ") != line {
			t.Errorf("line %d is too long or ends in blanks", i+1)
		}
	}
}

// A value that is not among those that the comment lists would mislead.
func TestTheValuesThatTheExampleListsAreThoseThatAreTaken(t *testing.T) {
	text := readAll(t)
	for key, values := range map[string][]string{
		"      mode":                   {"require", "prefer", "disable"},
		"      client_cert":            {"none", "optional"},
		"      client_cert_recheck":    {"end", "keep"},
		"      min_version":            {`"1.2"`, `"1.3"`},
		"    sslmode":                  {"verify-full", "verify-ca", "require", "disable"},
		"    ssl_min_protocol_version": {"TLSv1.2", "TLSv1.3"},
		"    sslnegotiation":           {"postgres", "direct"},
		"    channel_binding":          {"disable", "prefer", "require"},
		"    pool_mode":                {"session", "transaction", "statement", `""`},
		"  pool_mode":                  {"session", "transaction", "statement"},
		"  session_state":              {"strict", "pin", "reject", "ignore"},
		"  level":                      {"debug", "info", "warn", "error"},
		"  format":                     {"json", "console"},
	} {
		line := regexp.MustCompile(fmt.Sprintf(`(?m)^%s: +(\S+) +# (.*)$`, key))
		m := line.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("%s is not in the example", key)
			continue
		}
		for _, value := range values {
			if value != `""` && !strings.Contains(m[2], value) {
				t.Errorf("%s: the comment does not name %s", key, value)
			}
			changed := strings.Replace(text, m[0], key+": "+value, 1)
			if _, err := Parse("config.example.yaml", []byte(changed), noEnv); err != nil {
				t.Errorf("%s: %v", value, err)
			}
		}
		if _, err := Parse("config.example.yaml", []byte(strings.Replace(text, m[0], key+": nonsense", 1)), noEnv); err == nil {
			t.Errorf("%s: nonsense was taken", key)
		}
	}
}
