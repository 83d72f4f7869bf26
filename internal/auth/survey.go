package auth

import (
	"bytes"
	"strings"
)

// Kinds of secrets in a users file.
const (
	KindSCRAM = "scram" // a SCRAM-SHA-256 secret
	KindMD5   = "md5"   // PostgreSQL's md5 hash
	KindPlain = "plain" // the password itself
	KindNone  = "none"  // empty: no way to log in
)

// UserLine is one user of a users file, without the secret.
type UserLine struct {
	Line int
	Name string
	Kind string
}

// SurveyUsers tells what kinds of secrets a users file holds, of all lines that
// can be read: it goes on where [ParseUsers] refuses the file.
func SurveyUsers(content []byte) []UserLine {
	var found []UserLine
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || len(line) > maxLineLen || line[0] == ';' || line[0] == '#' {
			continue
		}
		name, secret, err := splitUserLine(line)
		if err != nil {
			continue
		}
		kind := KindPlain
		_, isMD5 := parseMD5Secret(secret)
		switch {
		case secret == "":
			kind = KindNone
		case isMD5:
			kind = KindMD5
		case strings.HasPrefix(secret, secretScheme):
			kind = KindSCRAM
		}
		found = append(found, UserLine{Line: number, Name: name, Kind: kind})
	}
	return found
}
