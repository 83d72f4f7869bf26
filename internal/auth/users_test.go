package auth

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func parseUsers(t *testing.T, content string) *Users {
	t.Helper()
	users, err := ParseUsers("users.txt", []byte(content), NewMocker(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func TestAUsersFileOfPgBouncerIsRead(t *testing.T) {
	users := parseUsers(t, strings.Join([]string{
		`; a comment`,
		`# another "comment" "here"`,
		``,
		`"scram" "` + rfcSecret + `"`,
		"\t \"indented\"\t\t\"plain one\"   ",
		`"no ""password""" "with ""quotes"""`,
		`"windows" "crlf"` + "\r",
		`"old format" "pw" "" and more`,
		`"commented" "pw" ; why not`,
		`"space "  " space"`,
		`"md5ish" "md5 is no hash"`,
		`"UTF-8 é" "ключ"`,
		`"last" "no newline"`,
	}, "\n"))
	for name, want := range map[string]string{
		"scram":         "",
		"indented":      "plain one",
		`no "password"`: `with "quotes"`,
		"windows":       "crlf",
		"old format":    "pw",
		"commented":     "pw",
		"space ":        " space",
		"md5ish":        "md5 is no hash",
		"UTF-8 é":       "ключ",
		"last":          "no newline",
	} {
		got, ok := users.Lookup(name)
		if !ok || got.Password != want {
			t.Errorf("%q: password %q, found %t, want %q", name, got.Password, ok, want)
		}
		if !got.Secret.valid() {
			t.Errorf("%q: no exchange can be held with the secret", name)
		}
	}
	if got, _ := users.Lookup("scram"); got.Secret.Encode() != rfcSecret {
		t.Errorf("the SCRAM secret became %s", got.Secret.Encode())
	}
}

func TestAUserIsFoundByTheExactNameOnly(t *testing.T) {
	users := parseUsers(t, `"alice" "x"`)
	for _, name := range []string{"", "Alice", "alice ", "alic", "alice\x00", "*", "bob"} {
		if _, ok := users.Lookup(name); ok {
			t.Errorf("%q is found", name)
		}
	}
}

func TestAnEmptyPasswordLetsNobodyIn(t *testing.T) {
	users := parseUsers(t, `"alice" ""`)
	if got, ok := users.Lookup("alice"); ok || got.Password != "" || got.Secret.valid() {
		t.Error("a user with an empty password is found")
	}
}

func TestNobodyIsInAFileThatIsNotThere(t *testing.T) {
	var users *Users
	if _, ok := users.Lookup("alice"); ok {
		t.Error("somebody is in no file")
	}
	if _, ok := parseUsers(t, "").Lookup(""); ok {
		t.Error("somebody is in an empty file")
	}
}

func TestThePasswordOfAUserFitsTheSecretDerivedFromIt(t *testing.T) {
	users := parseUsers(t, `"alice" "pencil"`)
	credential, _ := users.Lookup("alice")
	if credential.Secret.Iterations != DefaultIterations || len(credential.Secret.Salt) != 16 {
		t.Error("the derived secret is not like PostgreSQL's own")
	}
	if err := login(NewClientExchange("pencil"), NewServerExchange(credential.Secret, true)); err != nil {
		t.Errorf("login: %v", err)
	}
}

func TestALineThatIsWrongIsNamedAndNotShown(t *testing.T) {
	for name, c := range map[string]struct {
		line, want string
	}{
		"no quotes":              {`alice MARK`, "user name: double quote expected"},
		"one string":             {`"alice"`, "secret: double quote expected"},
		"secret without quotes":  {`"alice" MARK`, "secret: double quote expected"},
		"open user name":         {`"alice`, "user name: closing double quote expected"},
		"open secret":            {`"alice" "MARK`, "secret: closing double quote expected"},
		"open after two quotes":  {`"alice" "MARK""`, "secret: closing double quote expected"},
		"lone quote":             {`"`, "user name: closing double quote expected"},
		"strings that touch":     {`"alice""MARK"`, "secret: double quote expected"},
		"empty user name":        {`"" "MARK"`, "empty user name"},
		"quote not doubled":      {`"alice" "MA"MARK"`, "a quote inside is written twice"},
		"single quotes":          {`'alice' 'MARK'`, "user name: double quote expected"},
		"zero byte in secret":    {"\"alice\" \"MARK\x00\"", "NUL byte"},
		"zero byte in name":      {"\"al\x00ice\" \"MARK\"", "NUL byte"},
		"broken SCRAM secret":    {`"alice" "SCRAM-SHA-256$MARK"`, "malformed SCRAM-SHA-256 secret"},
		"SCRAM secret, 0 rounds": {`"alice" "` + strings.Replace(rfcSecret, "$4096", "$0", 1) + `"`, "invalid iteration count"},
		"duplicate":              {`"root" "MARK"`, "already on line 2"},
		"long line":              {`"alice" "` + strings.Repeat("MARK", maxLineLen/4) + `"`, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckUsers("users.txt", []byte("; first\n\"root\" \"x\"\n"+c.line+"\n\"next\" \"x\"\n"))
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), "users.txt:3: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want users.txt:3: ... %s", err, c.want)
			}
			for _, shown := range []string{"MARK", "alice", "W22Z"} {
				if strings.Contains(err.Error(), shown) {
					t.Errorf("the error shows a part of the line: %v", err)
				}
			}
		})
	}
}

func TestAUserWithAnEmptyPasswordCountsAsADuplicateToo(t *testing.T) {
	err := CheckUsers("users.txt", []byte("\"alice\" \"\"\n\n\"alice\" \"x\"\n"))
	if err == nil || err.Error() != "users.txt:3: this user is already on line 1" {
		t.Errorf("got %v", err)
	}
}

func TestTheLongestPasswordFitsInALine(t *testing.T) {
	password := strings.Repeat(`"`, 65535)
	users := parseUsers(t, quoteUser("alice", password))
	if got, ok := users.Lookup("alice"); !ok || got.Password != password {
		t.Errorf("found %t, %d bytes", ok, len(got.Password))
	}
}

func TestAFileBeyondTheLimitIsRefused(t *testing.T) {
	err := CheckUsers("users.txt", make([]byte, maxFileLen+1))
	if err == nil || !strings.HasPrefix(err.Error(), "users.txt: longer than") {
		t.Errorf("got %v", err)
	}
}

func quoteUser(name, secret string) string {
	double := strings.NewReplacer(`"`, `""`)
	return `"` + double.Replace(name) + `" "` + double.Replace(secret) + `"`
}

var usersErrorRE = regexp.MustCompile(`^users:([0-9]+): `)

func FuzzParseUsers(f *testing.F) {
	f.Add([]byte("\"alice\" \"pencil\"\n; comment\n\n\"bob\" \"" + rfcSecret + "\" x\n"))
	f.Add([]byte("\"alice\" \"\"\r\n\"alice\" \"\""))
	f.Add([]byte(`"a""b" """"`))
	f.Add([]byte(`"a" "md50123456789abcdef0123456789abcdef"`))
	f.Add([]byte("\"\n\""))
	f.Fuzz(func(t *testing.T, content []byte) {
		users, err := readUsers("users", content)
		lines := strings.Count(string(content), "\n") + 1
		if err != nil {
			m := usersErrorRE.FindStringSubmatch(err.Error())
			if m == nil {
				t.Fatalf("the error names no line: %v", err)
			}
			if n, _ := strconv.Atoi(m[1]); n < 1 || n > lines {
				t.Errorf("the error names line %d of %d", n, lines)
			}
			return
		}
		for _, u := range users.list {
			if u.name == "" || strings.ContainsAny(u.name, "\n\x00") || u.line < 1 || u.line > lines {
				t.Errorf("user %q of line %d", u.name, u.line)
			}
			if u.password != "" && u.usable() || u.secret.valid() && u.md5.Known() {
				t.Errorf("user %q has two secrets", u.name)
			}
		}
	})
}

func FuzzAUserSurvivesQuoting(f *testing.F) {
	f.Add("alice", "pencil")
	f.Add(`"`, `""`)
	f.Add(" ; # ", "\t'\\")
	f.Add("\xff", "SCRAM-SHA-256")
	f.Fuzz(func(t *testing.T, name, password string) {
		if _, isMD5 := parseMD5Secret(password); name == "" || strings.ContainsAny(name+password, "\n\x00") || isMD5 ||
			strings.HasPrefix(password, secretScheme) || len(name)+len(password) > 1000 {
			return
		}
		users, err := ParseUsers("users", []byte(quoteUser(name, password)), NewMocker(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := users.Lookup(name)
		if ok != (password != "") || got.Password != password {
			t.Errorf("%q %q: found %t, %q", name, password, ok, got.Password)
		}
	})
}

func TestMD5SecretsAreToldFromPasswords(t *testing.T) {
	for s, want := range map[string]bool{
		"md5" + strings.Repeat("0f", 16):                                 true,
		"md5" + strings.Repeat("0F", 16):                                 true,
		"md5" + strings.Repeat("0", 31):                                  false,
		"md5" + strings.Repeat("0", 33):                                  false,
		"md5" + strings.Repeat("0", 31) + "g":                            false,
		"MD5" + strings.Repeat("0", 32):                                  false,
		"md5" + strings.Repeat("0", 15) + " g" + strings.Repeat("0", 15): false,
		"": false,
	} {
		if _, isMD5 := parseMD5Secret(s); isMD5 != want {
			t.Errorf("%q: want %t", s, want)
		}
	}
}

func TestAPasswordIsReadFromAUsersFileWithoutDerivingAnything(t *testing.T) {
	secret, err := NewSecret("two", 64)
	if err != nil {
		t.Fatal(err)
	}
	content := []byte("\"alice\" \"one\"\n\"bob\" \"" + secret.Encode() + "\"\n\"carol\" \"\"\n")
	for user, want := range map[string]string{"alice": "one", "bob": "", "carol": "", "nobody": ""} {
		if got, err := PasswordIn("users.txt", content, user); err != nil || got != want {
			t.Errorf("%s has %q, %v", user, got, err)
		}
	}
	if _, err := PasswordIn("users.txt", []byte("\"alice\""), "alice"); err == nil || !strings.HasPrefix(err.Error(), "users.txt:1:") {
		t.Errorf("a line without a secret gives %v", err)
	}
}
