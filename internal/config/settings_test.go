package config

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSettingsShowEachKeyOfThePoolByItsOwnName(t *testing.T) {
	f := Default()
	f.Pool.QueryWaitTimeout = 1500 * time.Millisecond
	f.Admin.Users = []string{"alice", "bob"}
	f.HTTP.BearerTokenFile = "/run/token"
	byKey := map[string]Setting{}
	for _, s := range f.Settings() {
		if byKey[s.Key].Key != "" {
			t.Errorf("%s stands there twice", s.Key)
		}
		byKey[s.Key] = s
	}
	for _, want := range []Setting{
		{"max_client_conn", "1000", "1000", true},
		{"query_wait_timeout", "1.5", "120", true},
		{"server_round_robin", "false", "false", true},
		{"prepared_statements_memory", "268435456", "268435456", true},
		{"admin.users", "alice, bob", "", false},
		{"workers", "1", "1", false},
		{"http.address", "127.0.0.1:9432", "127.0.0.1:9432", false},
		{"http.tls.cert_file", "", "", false},
		{"http.bearer_token_file", "/run/token", "", false},
		{"auth.auth_password_file", "", "", false},
	} {
		if got := byKey[want.Key]; got != want {
			t.Errorf("%s is %+v, want %+v", want.Key, got, want)
		}
	}
}

func TestSettingsShowNoSecrets(t *testing.T) {
	text := strings.Replace(readExample(t), "server_reset_query: DISCARD ALL", "server_reset_query: ${RESET}", 1)
	text = strings.Replace(text, "rules: []", `rules: ["host all all all scram-sha-256"]`, 1)
	f, err := Parse("config.yaml", []byte(text), func(string) (string, bool) { return "hush", true })
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range f.Settings() {
		if strings.Contains(s.Value, "hush") || strings.Contains(s.Value, "host all") {
			t.Errorf("%s shows %s", s.Key, s.Value)
		}
		found = found || s.Key == "server_reset_query" && s.Value == "(from the environment)"
	}
	if !found {
		t.Error("what comes from the environment is not shown as that")
	}
}

// fill gives each text below v the value "text of " and its key, and each list
// and map one entry with such texts, and returns the keys.
func fill(v reflect.Value, key string) (keys []string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("text of " + key)
		return []string{key}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0), key)
	case reflect.Map:
		entry := reflect.New(v.Type().Elem()).Elem()
		keys = fill(entry, key+".x")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("x"), entry)
	case reflect.Struct:
		for i := range v.NumField() {
			name, flags, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			switch {
			case flags == "inline":
				keys = append(keys, fill(v.Field(i), key)...)
			case name != "" && name != "-":
				keys = append(keys, fill(v.Field(i), join(key, name))...)
			}
		}
	}
	return keys
}

func TestOfAllKeysThatHoldSecretsNoneIsShown(t *testing.T) {
	var f File
	keys := fill(reflect.ValueOf(&f).Elem(), "")
	secrets := slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		last := key[strings.LastIndexByte(key, '.')+1:]
		return strings.HasSuffix(last, "_file") || last != "rules" && !regexp.MustCompile("pass|secret|token|credential|bearer").MatchString(last)
	})
	for _, known := range []string{"databases.x.password", "auth.rules"} {
		if !slices.Contains(secrets, known) {
			t.Errorf("%s is not found among %v", known, secrets)
		}
	}
	shown := 0
	for _, s := range f.Settings() {
		if key, ok := strings.CutPrefix(s.Value, "text of "); ok {
			shown++
			if slices.Contains(secrets, key) || strings.HasPrefix(key, "databases") || strings.HasPrefix(key, "listen") {
				t.Errorf("%s shows what is at %s", s.Key, key)
			}
		}
	}
	if len(keys) < 50 || shown < 15 {
		t.Errorf("%d keys have texts, %d are shown: the walk is broken", len(keys), shown)
	}
}

func TestSetChangesWhatMayChange(t *testing.T) {
	f := Default()
	for key, value := range map[string]string{
		"query_timeout": "2.5", "server_lifetime": "90s", "default_pool_size": "7", "pool_mode": "session",
		"server_round_robin": "true", "prepared_statements_memory": "2MiB", "server_reset_query": "",
		"server_reset_query_always": "true", "session_state": "strict",
	} {
		if err := f.Set(key, value); err != nil {
			t.Errorf("%s = %s: %v", key, value, err)
		}
	}
	p := f.Pool
	if p.QueryTimeout != 2500*time.Millisecond || p.ServerLifetime != 90*time.Second || p.DefaultPoolSize != 7 || p.PoolMode != "session" ||
		!p.ServerRoundRobin || p.PreparedMemory != 2<<20 || p.ServerResetQuery != "" || !p.ServerResetQueryAlways || p.SessionState != "strict" {
		t.Errorf("the settings are %+v", p)
	}
}

func TestAKeyThatMayBeLeftOutIsSetAndTakenBack(t *testing.T) {
	f := Default()
	before := f
	for _, value := range []string{"7", "0", ""} {
		if err := f.Set("max_address_logins", value); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		shown := slices.IndexFunc(f.Settings(), func(s Setting) bool { return s.Key == "max_address_logins" && s.Value == value && s.Default == "" })
		if shown < 0 {
			t.Errorf("%q is not shown", value)
		}
	}
	if err := f.Set("max_address_logins", "5"); err != nil {
		t.Error(err)
	}
	after := f
	if err := f.Set("max_address_logins", "-1"); err == nil || !strings.Contains(err.Error(), "omit the key") {
		t.Errorf("-1: %v", err)
	}
	if before.Pool.MaxAddressLogins != nil || *after.Pool.MaxAddressLogins != 5 || *f.Pool.MaxAddressLogins != 5 {
		t.Error("a setting that was refused is in force, or one changed elsewhere")
	}
}

func TestSetRefusesWhatItCannotDoAndChangesNothing(t *testing.T) {
	f := Default()
	for key, value := range map[string]string{
		"query_timeout": "soon", "default_pool_size": "0", "max_client_conn": "many", "pool_mode": "sometimes", "server_round_robin": "perhaps",
		"max_db_connections": "0.5", "max_address_logins": "1.5",
	} {
		if err := f.Set(key, value); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s = %s: %v", key, value, err)
		}
	}
	for _, key := range []string{"query_timeout", "max_db_connections", "server_round_robin", "prepared_statements_memory"} {
		for _, nothing := range []string{"", "null", "~"} {
			if err := f.Set(key, nothing); err == nil || !strings.Contains(err.Error(), key+": invalid value") {
				t.Errorf("%s = %q: %v", key, nothing, err)
			}
		}
	}
	if err := f.Set("workers", "2"); !errors.Is(err, ErrNotChangeable) {
		t.Errorf("workers: %v", err)
	}
	if err := f.Set("log.level", "debug"); !errors.Is(err, ErrNotChangeable) {
		t.Errorf("log.level: %v", err)
	}
	if err := f.Set("nonsense", "2"); !errors.Is(err, ErrNoSetting) {
		t.Errorf("nonsense: %v", err)
	}
	if f.Pool != Default().Pool {
		t.Errorf("the settings have become %+v", f.Pool)
	}
}
