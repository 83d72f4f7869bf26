package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"

	"github.com/pgseal/pgseal/internal/httpd"
	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/pool"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/proxy/login"
	"github.com/pgseal/pgseal/tlsconf"
)

// DefaultPath is where the configuration is looked for.
const DefaultPath = "/etc/pgseal/config.yaml"

// File is the whole configuration.
type File struct {
	Listen    []Listen                   `yaml:"listen"`
	Databases map[string]Database        `yaml:"databases"`
	Users     map[string]pool.UserConfig `yaml:"users"`
	Pool      pool.Config                `yaml:"pool"`
	Auth      login.Config               `yaml:"auth"`
	Admin     Admin                      `yaml:"admin"`
	HTTP      httpd.Config               `yaml:"http"`
	Log       Log                        `yaml:"log"`
	Workers   int                        `yaml:"workers"` // event loops

	source source
}

// maxWorkers is more event loops than any machine can use.
const maxWorkers = 64

// Validate returns a *setting.Error for each value of the top level that
// can't be used.
func (f File) Validate() error {
	var bad setting.Faults
	bad.Between("workers", f.Workers, 1, maxWorkers)
	f.validateNames(&bad)
	return bad.Err()
}

// validateNames checks the databases that server names select.
func (f File) validateNames(bad *setting.Faults) {
	for i, l := range f.Listen {
		for j, c := range l.TLS.Certificates {
			_, named := f.Databases[c.Database]
			_, any := f.Databases["*"]
			bad.AddIf(c.Database != "" && !named && !any,
				fmt.Sprintf("listen[%d].tls.certificates[%d].database", i, j), "database %q is not defined", c.Database)
		}
	}
}

// Listen is an entry of the list of listeners.
type Listen struct {
	proxy.ListenConfig `yaml:",inline"`
}

// UnmarshalYAML implements yaml.Unmarshaler: it starts from the defaults.
func (l *Listen) UnmarshalYAML(n *yaml.Node) error {
	l.ListenConfig = proxy.DefaultListenConfig()
	if err := n.Decode(&l.ListenConfig); err != nil || !l.unix() {
		return err
	}
	l.TLS.Mode = tlsconf.ListenDisable
	return n.Decode(&l.ListenConfig) // again, for a mode that is written out
}

// unix reports whether the address is that of a unix socket, which, as in
// PostgreSQL, speaks no TLS.
func (l Listen) unix() bool {
	network, _ := l.Network()
	return network == "unix"
}

// Database is an entry of the map of databases.
type Database struct {
	pool.DatabaseConfig `yaml:",inline"`
}

// UnmarshalYAML implements yaml.Unmarshaler: it starts from the defaults.
func (d *Database) UnmarshalYAML(n *yaml.Node) error {
	d.DatabaseConfig = pool.DefaultDatabaseConfig()
	return n.Decode(&d.DatabaseConfig)
}

// Admin lists the roles that may use the console. They log in like any client.
type Admin struct {
	Users      []string `yaml:"users"`       // may do everything
	StatsUsers []string `yaml:"stats_users"` // may SHOW
}

// Log configures what is logged, and how.
type Log struct {
	Level  string `yaml:"level"`  // debug | info | warn | error
	Format string `yaml:"format"` // json | console

	StatsPeriod time.Duration `yaml:"stats_period"` // between lines of statistics; zero: none
	SlowWait    time.Duration `yaml:"slow_wait"`    // for a server, that is told; zero: none
	Sampling    bool          `yaml:"sampling"`     // of messages that come too often
	AuditFile   string        `yaml:"audit_file"`   // for the audit stream; empty: the log
}

// Validate returns a *setting.Error for each value that can't be used.
func (l Log) Validate() error {
	var f setting.Faults
	f.OneOf("level", l.Level, "debug", "info", "warn", "error")
	f.NotNegative("stats_period", l.StatsPeriod)
	f.NotNegative("slow_wait", l.SlowWait)
	f.OneOf("format", l.Format, "json", "console")
	return f.Err()
}

// ZapLevel returns the level as zap has it.
func (l Log) ZapLevel() zapcore.Level {
	level, _ := zapcore.ParseLevel(l.Level) // which is info where the text is none
	return level
}

// Default returns the configuration of an empty file. It has no listeners.
func Default() File {
	return File{
		Pool: pool.DefaultConfig(), Auth: login.DefaultConfig(), HTTP: httpd.DefaultConfig(),
		Log: Log{Level: "info", Format: "json", StatsPeriod: time.Minute, SlowWait: time.Second, Sampling: true}, Workers: 1,
	}
}

// An Error is an error in the file, with its position.
type Error struct {
	File string
	Line int    // 0 if it concerns the whole file
	Key  string // the path of keys, with dots
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Load reads and validates the file at path. Its error joins an *Error for each
// fault; values are validated only if the structure has none.
func Load(path string) (File, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	return Parse(path, content, os.LookupEnv)
}

// Parse does the work of Load. name stands for the file in errors, and env
// looks up environment variables.
func Parse(name string, content []byte, env func(string) (string, bool)) (File, error) {
	f := Default()
	root, err := parseDocument(name, content)
	if err != nil {
		return f, err
	}
	w := &walker{file: name, env: env, lines: map[string]int{}, variables: map[string]bool{}, expanded: map[*yaml.Node]bool{}}
	f.source = source{path: name, lines: w.lines, variables: w.variables}
	if root != nil {
		w.walk(root, typeOf[File](), "")
		if err := w.err(); err != nil {
			return f, err
		}
		if root.Decode(&f) != nil { // its error may show a value
			return f, &Error{File: name, Err: errors.New("cannot be decoded")}
		}
	}
	w.validate(valueOf(&f), "")
	if len(f.Listen) == 0 {
		w.fault(0, "listen", errors.New("at least one listener is required"))
	}
	if len(f.Databases) == 0 {
		w.fault(0, "databases", errors.New("at least one database is required"))
	}
	w.crossCheck(&f)
	return f, w.err()
}

// crossCheck validates what depends on more than one section.
func (w *walker) crossCheck(f *File) {
	seen := map[string]bool{}
	for i, l := range f.Listen {
		if seen[l.Address] {
			w.faultAt(fmt.Sprintf("listen[%d].address", i), fmt.Errorf("duplicate address %q", l.Address))
		}
		seen[l.Address] = true
		if l.unix() && l.TLS.Mode != tlsconf.ListenDisable {
			w.faultAt(fmt.Sprintf("listen[%d].tls.mode", i), errors.New("TLS is not supported on Unix sockets: omit mode or set it to disable"))
		}
	}
	for _, reserved := range []string{"pgseal", "pgbouncer"} {
		if _, ok := f.Databases[reserved]; ok {
			w.faultAt("databases."+reserved, fmt.Errorf("database name %q is reserved for the console", reserved))
		}
	}
	if f.Databases[pool.AnyDatabase].Required {
		w.faultAt("databases."+pool.AnyDatabase+".required", errors.New("not supported for the wildcard database"))
	}
	w.checkLookups(f)
	if f.Auth.UsersFile == "" && f.Auth.HBAFile == "" && len(f.Auth.Rules) == 0 && len(f.Lookups()) == 0 {
		w.faultAt("auth.users_file", errors.New("no way to log in: set users_file, hba_file, rules or auth_user"))
	}
}
