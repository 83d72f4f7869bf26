package login

import (
	"time"

	"github.com/pgseal/pgseal/internal/setting"
	"github.com/pgseal/pgseal/pool"
)

// Config is the section auth: access rules and where secrets come from.
type Config struct {
	HBAFile       string   `yaml:"hba_file"`       // rules in the format of pg_hba.conf
	Rules         []string `yaml:"rules"`          // the same, each a line
	IdentFile     string   `yaml:"ident_file"`     // user name maps in the format of pg_ident.conf
	TrustAnywhere bool     `yaml:"trust_anywhere"` // let trust in from other machines
	UsersFile     string   `yaml:"users_file"`
	LDAPCAFile    string   `yaml:"ldap_ca_file"`   // CA certificates for LDAP servers; empty: the system's roots
	LDAPPlaintext bool     `yaml:"ldap_plaintext"` // let passwords go to other machines' LDAP servers without TLS

	// Against password guessing. MockSecretFile holds the key of the mock salts of
	// unknown roles, and of those with a plaintext password; empty: a random one.
	MockSecretFile     string        `yaml:"mock_secret_file"`
	AuthDelay          time.Duration `yaml:"auth_delay"`                   // from a client's last message to its refusal
	MaxFailedPerSource int           `yaml:"max_failed_logins_per_source"` // in a minute; zero: no limit
	MaxFailedPerRole   int           `yaml:"max_failed_logins_per_role"`   // in a minute; zero: no limit

	pool.LookupConfig `yaml:",inline"` // for roles that users_file does not have

	AuthQueryCacheTTL time.Duration `yaml:"auth_query_cache_ttl"` // of an answer
	AuthQueryMaxStale time.Duration `yaml:"auth_query_max_stale"` // beyond it, while nobody answers
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		AuthDelay: 500 * time.Millisecond, MaxFailedPerSource: 60, MaxFailedPerRole: 300,
		AuthQueryCacheTTL: 30 * time.Second, AuthQueryMaxStale: 5 * time.Minute,
	}
}

const (
	maxAuthDelay    = time.Minute
	maxFailedLogins = 1_000_000
)

// Validate returns a *setting.Error for each value that can't be used. The
// rules themselves are read by ParseAccess.
func (c Config) Validate() error {
	var f setting.Faults
	f.AddIf(c.HBAFile != "" && len(c.Rules) > 0, "rules", "rules and hba_file are mutually exclusive")
	f.AddIf(c.AuthDelay < 0 || c.AuthDelay > maxAuthDelay, "auth_delay", "%v is outside the valid range (0s .. %v)", c.AuthDelay, maxAuthDelay)
	f.Between("max_failed_logins_per_source", c.MaxFailedPerSource, 0, maxFailedLogins)
	f.Between("max_failed_logins_per_role", c.MaxFailedPerRole, 0, maxFailedLogins)
	f.NotNegative("auth_query_cache_ttl", c.AuthQueryCacheTTL)
	f.NotNegative("auth_query_max_stale", c.AuthQueryMaxStale)
	return f.Err()
}
