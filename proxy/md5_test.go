package proxy

import (
	"crypto/fips140"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/proxy/login"
)

// daveSecret is what PostgreSQL stores of the password of dave where
// password_encryption is md5.
const daveSecret = "md5a7dafb1025392e96b3875ad9c120a68d"

// withMD5 opens a house where dave has an md5 secret, under a rule.
func withMD5(t *testing.T, rule string) *house {
	h := open(t)
	users, err := auth.ParseUsers("users", []byte(fmt.Sprintf("\"alice\" %q\n\"dave\" %q\n", password, daveSecret)), testMocker, nil)
	ok(t, err)
	settings := *h.proxy.settings.Load()
	settings.Users = users
	h.proxy.Configure(settings)
	h.rules(rule)
	return h
}

// noMD5 reports whether md5 can't be had here, having checked that its rule
// is refused.
func noMD5(t *testing.T) bool {
	if !fips140.Enabled() {
		return false
	}
	_, err := login.ParseAccess(reload.NewReader(), "/config.yaml", login.Config{Rules: []string{"host all all all scram-sha-256", "host all all all md5"}})
	if err == nil || !strings.Contains(err.Error(), "auth.rules:2: MD5 is not available in FIPS mode") {
		t.Errorf("in FIPS mode the rule md5 gives %v", err)
	}
	return true
}

// challenge begins a login and returns the salt of an md5 challenge, if the
// role is asked by md5.
func (h *house) challenge(user string) (c *client, salt string, md5 bool) {
	h.t.Helper()
	c = h.dialTLS()
	c.write(packet(version3, "user", user, "database", "app"))
	salt, md5 = strings.CutPrefix(c.want('R'), "\x00\x00\x00\x05")
	return c, salt, md5
}

// toldMD5 returns all that a client is told that answers a challenge by md5.
func (h *house) toldMD5(user, answer string) string {
	h.t.Helper()
	c, salt, md5 := h.challenge(user)
	if !md5 || len(salt) != 4 {
		h.t.Fatalf("%s is not asked by md5", user)
	}
	c.write(msg('p', answer, "\x00"))
	told, err := io.ReadAll(c)
	ok(h.t, err)
	return strings.ReplaceAll(string(told), user, "USER")
}

func TestARoleWithAnMD5SecretComesInByMD5(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all md5")
	c, salt, md5 := h.challenge("dave")
	if !md5 {
		t.Fatal("dave is not asked by md5")
	}
	c.write(msg('p', auth.NewMD5Secret(password, "dave").Respond([4]byte([]byte(salt))), "\x00"))
	c.refused("08006") // he is in: that the server asks by SCRAM is another matter
	eventually(t, "the log tells that", func() bool {
		for _, line := range h.logs.FilterMessage("server connection could not be opened").All() {
			if cause, _ := line.ContextMap()["error"].(string); strings.Contains(cause, "users_file has only an MD5 secret") {
				return true
			}
		}
		return false
	})
}

func TestUnderARuleMD5OthersAreAskedBySCRAM(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all md5")
	h.login("app") // alice, whose password is plain
}

// askedByMD5 returns a role that users_file does not have and that is asked by md5
// nevertheless, as long as it is unknown.
func (h *house) askedByMD5() string {
	settings := h.proxy.settings.Load()
	md5, all := settings.Users.MD5Share()
	for i := 0; ; i++ {
		if name := fmt.Sprintf("m%03d", i); settings.Mocker.AsksMD5(name, md5, all) {
			return name
		}
	}
}

func TestUnderARuleMD5ARoleOfAuthQueryIsAskedBySCRAM(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all md5")
	role := h.askedByMD5()
	if _, _, md5 := h.challenge(role); !md5 {
		t.Fatal("an unknown role is not asked by md5")
	}
	d := h.directory()
	d.set(func() { d.rows[role] = []string{rowOf(role, h.server.secret.Encode(), null)} })
	h.rulesBeside("host all all all md5")
	c := h.as(role)
	c.authenticate(password)
	c.greeted()
}

func TestUnknownRoleAndWrongPasswordLookAlikeUnderMD5(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all md5")
	wrong := "md5" + strings.Repeat("0", 32)
	unknown := h.askedByMD5()
	told := h.toldMD5("dave", wrong)
	if !strings.Contains(told, "C28P01\x00") {
		t.Fatalf("a wrong password is answered by %q", told)
	}
	for name, got := range map[string]string{
		"an unknown role":    h.toldMD5(unknown, wrong),
		"no answer":          h.toldMD5("dave", ""),
		"the secret itself":  h.toldMD5("dave", daveSecret),
		"a long answer":      h.toldMD5("dave", strings.Repeat("x", 5000)),
		"the answer of none": h.toldMD5(unknown, "md5d41d8cd98f00b204e9800998ecf8427e"),
	} {
		if got != told {
			t.Errorf("%s is answered by\n%q, a wrong password by\n%q", name, got, told)
		}
	}
	asked := 0
	for i := range 40 {
		_, _, md5 := h.challenge(fmt.Sprintf("luigi%d", i))
		if md5 {
			asked++
		}
	}
	if asked == 0 || asked == 40 {
		t.Errorf("%d of 40 unknown roles are asked by md5, of two known ones one is", asked)
	}
}

func TestAnMD5SecretIsRefusedBySCRAMAndTheLogSaysWhy(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all scram-sha-256")
	known, unknown := h.attempt("dave", "app", password), h.attempt("luke", "app", password)
	if known != unknown || !strings.Contains(known, "C28P01\x00") {
		t.Errorf("dave is told\n%q, an unknown role\n%q", known, unknown)
	}
	eventually(t, "the log tells the reason", func() bool {
		for _, line := range h.logs.FilterMessage("login refused").All() {
			if cause, _ := line.ContextMap()["error"].(string); strings.Contains(cause, "role does not have a valid SCRAM secret") {
				return line.ContextMap()["user"] == "dave"
			}
		}
		return false
	})
}

func TestAnMD5SecretChecksAPasswordInTheClear(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "hostssl all all all password")
	for told, want := range map[string]string{password: "\x00\x00\x00\x00", "wrong": "", "": "", daveSecret: ""} {
		c := h.dialTLS()
		c.write(packet(version3, "user", "dave", "database", "app"))
		c.tell(told)
		if want == "" {
			c.refused("28P01")
		} else {
			c.welcomed() // the password is known now, so the server lets the pooler in
		}
	}
}

func TestMalformedAnswersToMD5AreRefused(t *testing.T) {
	if noMD5(t) {
		return
	}
	h := withMD5(t, "host all all all md5")
	for name, m := range map[string]string{
		"no terminator":        msg('p', "md5"),
		"two strings":          msg('p', "md5\x00x\x00"),
		"an empty message":     msg('p'),
		"another message type": query("x"),
		"a huge length":        "p\x7f\xff\xff\xff",
		"a negative length":    "p\xff\xff\xff\xff",
	} {
		c, _, md5 := h.challenge("dave")
		if !md5 {
			t.Fatal("dave is not asked by md5")
		}
		c.write(m)
		if e := c.wantError("08P01"); e['S'] != "FATAL" {
			t.Errorf("%s: told %q", name, e)
		}
	}
}
