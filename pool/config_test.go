package pool

import (
	"crypto/fips140"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgseal/pgseal/internal/setting"
)

// badKeys returns the key and text of each fault that err joins, in order.
func badKeys(t *testing.T, err error) (keys, texts []string) {
	t.Helper()
	if err == nil {
		return nil, nil
	}
	list, joined := err.(interface{ Unwrap() []error })
	if !joined {
		t.Fatalf("%v is no joined error", err)
	}
	for _, e := range list.Unwrap() {
		var bad *setting.Error
		if !errors.As(e, &bad) {
			t.Fatalf("%v names no key", e)
		}
		keys, texts = append(keys, bad.Key), append(texts, bad.Err.Error())
	}
	return keys, texts
}

func TestTheDefaultsAreValid(t *testing.T) {
	ok(t, DefaultConfig().Validate())
	db := DefaultDatabaseConfig()
	db.Host = "db.internal"
	ok(t, db.Validate())
	ok(t, db.DatabaseLimits.Validate())
	ok(t, UserConfig{}.Validate())
}

func TestConfigValidateNamesEachBadKey(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Config)
		key  string // "" where the value is fine
		says string
	}{
		"session mode":           {func(c *Config) { c.PoolMode = SessionMode }, "", ""},
		"no mode":                {func(c *Config) { c.PoolMode = "" }, "pool_mode", `""`},
		"statement mode":         {func(c *Config) { c.PoolMode = StatementMode }, "", ""},
		"an unknown mode":        {func(c *Config) { c.PoolMode = "query" }, "pool_mode", `"query"`},
		"one server":             {func(c *Config) { c.DefaultPoolSize = 1 }, "", ""},
		"the most servers":       {func(c *Config) { c.DefaultPoolSize = maxPoolSize }, "", ""},
		"no servers":             {func(c *Config) { c.DefaultPoolSize = 0 }, "default_pool_size", "0 is outside the valid range"},
		"too many servers":       {func(c *Config) { c.DefaultPoolSize = maxPoolSize + 1 }, "default_pool_size", "10001"},
		"no clients":             {func(c *Config) { c.MaxClientConn = 0 }, "max_client_conn", "0 is outside the valid range"},
		"no login time":          {func(c *Config) { c.ClientLoginTimeout = 0 }, "client_login_timeout", "greater than zero"},
		"no cancel time":         {func(c *Config) { c.CancelWaitTimeout = 0 }, "cancel_wait_timeout", "greater than zero"},
		"no connect time":        {func(c *Config) { c.ServerConnectTimeout = -1 }, "server_connect_timeout", "greater than zero"},
		"no limit to waiting":    {func(c *Config) { c.QueryWaitTimeout = 0 }, "", ""},
		"negative limit":         {func(c *Config) { c.QueryWaitTimeout = -1 }, "query_wait_timeout", "negative"},
		"no pause between tries": {func(c *Config) { c.ServerLoginRetry = 0 }, "", ""},
		"negative pause":         {func(c *Config) { c.ServerLoginRetry = -time.Second }, "server_login_retry", "negative"},
		"no idle timeout":        {func(c *Config) { c.ServerIdleTimeout = 0 }, "", ""},
		"negative idle timeout":  {func(c *Config) { c.ServerIdleTimeout = -1 }, "server_idle_timeout", "negative"},
		"no lifetime":            {func(c *Config) { c.ServerLifetime = 0 }, "", ""},
		"negative lifetime":      {func(c *Config) { c.ServerLifetime = -1 }, "server_lifetime", "negative"},
		"no reset query":         {func(c *Config) { c.ServerResetQuery = "" }, "", ""},
		"NUL in the reset query": {func(c *Config) { c.ServerResetQuery = "a\x00b" }, "server_reset_query", "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig()
			c.edit(&config)
			wantKey(t, config.Validate(), c.key, c.says)
		})
	}
}

func TestDatabaseConfigValidateNamesEachBadKey(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*DatabaseConfig)
		key  string
		says string
	}{
		"a list of hosts":            {func(c *DatabaseConfig) { c.Host = "a, b,c" }, "", ""},
		"no host":                    {func(c *DatabaseConfig) { c.Host = "" }, "host", "required"},
		"a gap in the list":          {func(c *DatabaseConfig) { c.Host = "a,,b" }, "host", "empty name"},
		"a list that ends in a gap":  {func(c *DatabaseConfig) { c.Host = "a, " }, "host", "empty name"},
		"a socket":                   {func(c *DatabaseConfig) { c.Host, c.SSLMode = "/run/postgresql", "disable" }, "", ""},
		"a socket with TLS":          {func(c *DatabaseConfig) { c.Host = "/run/postgresql" }, "sslmode", "not available on Unix sockets"},
		"a socket in the list":       {func(c *DatabaseConfig) { c.Host = "a, /run/postgresql" }, "sslmode", "/run/postgresql"},
		"the first port":             {func(c *DatabaseConfig) { c.Port = 1 }, "", ""},
		"port zero":                  {func(c *DatabaseConfig) { c.Port = 0 }, "port", "0 is outside the valid range"},
		"the last port":              {func(c *DatabaseConfig) { c.Port = 65535 }, "", ""},
		"a port too many":            {func(c *DatabaseConfig) { c.Port = 65536 }, "port", "65536"},
		"a user":                     {func(c *DatabaseConfig) { c.User = "app" }, "", ""},
		"a user and a password":      {func(c *DatabaseConfig) { c.User, c.Password = "app", "hunter2" }, "", ""},
		"a user and a password file": {func(c *DatabaseConfig) { c.User, c.PasswordFile = "app", "/p" }, "", ""},
		"both kinds of password":     {func(c *DatabaseConfig) { c.User, c.Password, c.PasswordFile = "app", "hunter2", "/p" }, "password_file", "mutually exclusive"},
		"a password for nobody":      {func(c *DatabaseConfig) { c.Password = "hunter2" }, "user", "required"},
		"a password file for nobody": {func(c *DatabaseConfig) { c.PasswordFile = "/p" }, "user", "required"},
		"a query for new servers":    {func(c *DatabaseConfig) { c.ConnectQuery = "SET a = 1" }, "", ""},
		"NUL in that query":          {func(c *DatabaseConfig) { c.ConnectQuery = "a\x00b" }, "connect_query", "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultDatabaseConfig()
			config.Host = "db.internal"
			c.edit(&config)
			wantKey(t, config.Validate(), c.key, c.says)
		})
	}
}

func TestDatabaseLimitsValidateNamesEachBadKey(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*DatabaseLimits)
		key  string
		says string
	}{
		"a mode of its own":       {func(c *DatabaseLimits) { c.PoolMode = StatementMode }, "", ""},
		"an unknown mode":         {func(c *DatabaseLimits) { c.PoolMode = "Session" }, "pool_mode", `"Session"`},
		"a size of its own":       {func(c *DatabaseLimits) { c.PoolSize = maxPoolSize }, "", ""},
		"a negative size":         {func(c *DatabaseLimits) { c.PoolSize = -1 }, "pool_size", "-1"},
		"a size too large":        {func(c *DatabaseLimits) { c.PoolSize = maxPoolSize + 1 }, "pool_size", "10001"},
		"no least size":           {func(c *DatabaseLimits) { c.MinPoolSize = new(0) }, "", ""},
		"a negative least size":   {func(c *DatabaseLimits) { c.MinPoolSize = new(-2) }, "min_pool_size", "-2"},
		"a negative reserve":      {func(c *DatabaseLimits) { c.ReservePoolSize = new(-2) }, "reserve_pool_size", "-2"},
		"a negative server limit": {func(c *DatabaseLimits) { c.MaxDBConnections = new(-2) }, "max_db_connections", "-2"},
		"a negative client limit": {func(c *DatabaseLimits) { c.MaxDBClientConnections = new(-2) }, "max_db_client_connections", "-2"},
		"no lifetime":             {func(c *DatabaseLimits) { c.ServerLifetime = new(time.Duration(0)) }, "", ""},
		"a lifetime of -1s":       {func(c *DatabaseLimits) { c.ServerLifetime = new(-time.Second) }, "server_lifetime", "omit the key"},
		"a lifetime below zero":   {func(c *DatabaseLimits) { c.ServerLifetime = new(-2 * time.Second) }, "server_lifetime", "negative"},
		"a server limit of -1":    {func(c *DatabaseLimits) { c.MaxDBConnections = new(-1) }, "max_db_connections", "omit the key"},
	} {
		t.Run(name, func(t *testing.T) {
			var limits DatabaseLimits
			c.edit(&limits)
			wantKey(t, limits.Validate(), c.key, c.says)
		})
	}
}

func TestUserConfigValidateNamesAllBadKeysInTheirOrder(t *testing.T) {
	n, d := new(-2), new(-2*time.Second)
	bad := UserConfig{"x", -1, n, n, n, d, d, d, d}
	want := []string{"pool_mode", "pool_size", "reserve_pool_size", "max_user_connections", "max_user_client_connections",
		"client_idle_timeout", "query_timeout", "idle_transaction_timeout", "transaction_timeout"}
	if got, _ := badKeys(t, bad.Validate()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func wantKey(t *testing.T, err error, key, says string) {
	t.Helper()
	keys, texts := badKeys(t, err)
	if key == "" {
		if err != nil {
			t.Errorf("got %v, want no fault", err)
		}
		return
	}
	if !slices.Equal(keys, []string{key}) || !strings.Contains(texts[0], says) {
		t.Errorf("got the keys %v with %q, want %s with %q", keys, texts, key, says)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password stands in the error %q", err)
	}
}

func TestAllFaultsAreNamedTogetherInTheOrderOfTheKeys(t *testing.T) {
	bad := Config{PoolMode: "x", MinPoolSize: -1, ReservePoolSize: -1, ReservePoolTimeout: -1, MaxDBConnections: -1,
		MaxUserConnections: -1, MaxDBClientConnections: -1, MaxUserClientConnections: -1, ClientIdleTimeout: -1, QueryTimeout: -1,
		QueryWaitTimeout: -1, QueryWaitNotify: -1, IdleTransactionTimeout: -1, TransactionTimeout: -1, ServerLoginRetry: -1,
		ServerIdleTimeout: -1, ServerLifetime: -1, ServerCheckQuery: "\x00", ServerCheckDelay: -1, ServerResetQuery: "\x00"}
	want := []string{"pool_mode", "default_pool_size", "min_pool_size", "reserve_pool_size", "reserve_pool_timeout", "max_db_connections",
		"max_user_connections", "max_client_conn", "max_db_client_connections", "max_user_client_connections", "client_login_timeout",
		"client_idle_timeout", "query_timeout", "query_wait_timeout", "query_wait_notify", "idle_transaction_timeout",
		"transaction_timeout", "cancel_wait_timeout", "server_connect_timeout", "server_login_retry", "server_idle_timeout",
		"server_lifetime", "server_check_query", "server_check_delay", "server_reset_query",
		"max_prepared_statements", "prepared_statements_memory", "session_state"}
	for range 10 {
		if got, _ := badKeys(t, bad.Validate()); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	db := DatabaseConfig{Password: "a", PasswordFile: "b", ConnectQuery: "\x00"}
	if got, _ := badKeys(t, db.Validate()); !slices.Equal(got, []string{"host", "port", "password_file", "user", "require_auth", "connect_query"}) {
		t.Errorf("got %v", got)
	}
}

func TestPasswordsAreToldInVerifiedTLSAndOnSocketsOnly(t *testing.T) {
	for _, test := range []struct {
		host, sslmode string
		refused       bool
	}{
		{"db.internal", "verify-full", false}, {"db.internal", "verify-ca", false},
		{"db.internal", "require", true}, {"db.internal", "disable", true},
		{"/run/postgresql", "disable", false}, {"/run/postgresql,db.internal", "disable", true},
	} {
		for value, told := range map[string]bool{"password": true, "scram-sha-256,password": true, "!md5": true, "scram-sha-256": false, "!password,!md5": false} {
			c := DefaultDatabaseConfig()
			c.Host, c.SSLMode, c.RequireAuth = test.host, test.sslmode, value
			if err := c.checkAuth(); (err != nil) != (told && test.refused) {
				t.Errorf("%s, sslmode %s, require_auth %s: %v", test.host, test.sslmode, value, err)
			}
		}
	}
}

func TestMD5IsAllowedUnlessInFIPSMode(t *testing.T) {
	for _, value := range []string{"md5", "scram-sha-256,md5,none", "!password"} {
		c := DefaultDatabaseConfig()
		c.Host, c.RequireAuth = "db.internal", value
		if err := c.checkAuth(); (err != nil) != fips140.Enabled() {
			t.Errorf("%s: %v", value, err)
		}
	}
}
