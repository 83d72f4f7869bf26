package config

import (
	"strings"
	"testing"
)

func TestTheRoleOfAClientNeedsAModeInWhichItIsWatched(t *testing.T) {
	service := base + "    user: service\n    set_role: true\n"
	for text, wrong := range map[string]bool{
		service:                                  false,
		service + "pool: {pool_mode: session}\n": true,
		service + "    pool_mode: session\n":     true,
		service + "    pool_mode: statement\npool: {pool_mode: session}\n":                                false,
		service + "users: {service: {pool_mode: session}}\n":                                              true,
		service + "users: {other: {pool_mode: session}}\n":                                                false,
		service + "    pool_mode: session\nusers: {service: {pool_mode: statement}}\n":                    false,
		strings.Replace(service, "set_role: true", "set_role: false", 1) + "pool: {pool_mode: session}\n": false,
	} {
		_, err := parse(text)
		if !wrong {
			if err != nil {
				t.Errorf("%s\nis refused: %v", text, err)
			}
			continue
		}
		wants(t, err, "11 databases.app.set_role: needs pool_mode transaction or statement")
	}
	_, err := parse(base + "    set_role: true\n")
	wants(t, err, "10 databases.app.set_role: needs user")
}

func TestTheSettingForTheIdentityIsOneThatClientsMaySet(t *testing.T) {
	for name, good := range map[string]bool{
		`""`: true, "application_name": true, "audit.who": true, "a.b.c": true, "_x.y1": true,
		"work_mem": false, "role": false, "Audit.who": false, "audit.": false, ".who": false, "1a.b": false, "a.1b": false,
		"'a b.c'": false, `'a".b'`: false, strings.Repeat("a", 62) + ".b": false, "APPLICATION_NAME": false,
	} {
		_, err := parse(base + "    stamp_identity: " + name + "\n")
		if good && err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
		if !good {
			wants(t, err, "10 databases.app.stamp_identity: neither application_name nor a custom setting")
		}
	}
}

func TestHowServersMayAskIsCheckedWhenTheFileIsRead(t *testing.T) {
	for value, says := range map[string]string{
		"''": "is empty", "gss": "does not speak", "'md5,!none'": "of the other kind",
	} {
		_, err := parse(base + "    require_auth: " + value + "\n")
		wants(t, err, "10 databases.app.require_auth: "+says)
	}
	_, err := parse(base + "    sslmode: require\n    require_auth: password\n")
	wants(t, err, "11 databases.app.require_auth: password is sent in the clear")
	accepted(t, base+"    require_auth: password\n")
}
