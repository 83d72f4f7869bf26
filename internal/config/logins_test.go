package config

import (
	"strings"
	"testing"
)

func TestAKeyThatIsGoneIsRefusedWithWhatToUseInstead(t *testing.T) {
	for _, value := range []string{"true", "false", "''"} {
		_, err := parse(base + "    user: service\n    set_role: " + value + "\n")
		wants(t, err, "11 databases.app.set_role: is gone")
		if s := err.Error(); !strings.Contains(s, "a database entry") || !strings.Contains(s, "the client's own role") {
			t.Errorf("%q does not say what to use instead", s)
		}
	}
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
