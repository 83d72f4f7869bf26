package config

import (
	"strings"
	"testing"
)

func TestAKeyThatIsGoneIsRefusedWithWhatToUseInstead(t *testing.T) {
	for _, value := range []string{"true", "false", "''"} {
		_, err := parse(base + "    user: service\n    set_role: " + value + "\n")
		wants(t, err, "11 databases.app.set_role: no longer supported")
		if s := err.Error(); !strings.Contains(s, "a database entry with that user") || !strings.Contains(s, "the client's role") {
			t.Errorf("%q does not say what to use instead", s)
		}
	}
}

func TestTheKeyEngineIsRefusedAsGone(t *testing.T) {
	_, err := parse(base + "engine: portable\n")
	wants(t, err, "10 engine: no longer supported")
}

func TestTheNameOfASettingForTheIdentityIsAnsweredWithWhatIsNew(t *testing.T) {
	for _, value := range []string{"true", "false"} {
		accepted(t, base+"    stamp_identity: "+value+"\n")
	}
	for _, value := range []string{`""`, "application_name", "audit.who", "'true'", "1"} {
		_, err := parse(base + "    stamp_identity: " + value + "\n")
		wants(t, err, "10 databases.app.stamp_identity: must be true or false: it no longer names a parameter but adds")
	}
}

func TestHowServersMayAskIsCheckedWhenTheFileIsRead(t *testing.T) {
	for value, says := range map[string]string{
		"''": "required", "gss": "is not supported", "'md5,!none'": "cannot be mixed",
	} {
		_, err := parse(base + "    require_auth: " + value + "\n")
		wants(t, err, "10 databases.app.require_auth: "+says)
	}
	_, err := parse(base + "    sslmode: require\n    require_auth: password\n")
	wants(t, err, "11 databases.app.require_auth: password is sent in cleartext")
	accepted(t, base+"    require_auth: password\n")
}
