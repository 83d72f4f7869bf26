package httpd

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/pgseal/pgseal/internal/reload"
)

// shortestToken is the minimum length for a random token to be unguessable.
const shortestToken = 16

// Token is a bearer token (RFC 6750), kept as a digest.
type Token struct{ digest [sha256.Size]byte }

// NewToken loads the token of a file, or returns nil if path is empty.
// Whitespace around it does not count.
func NewToken(path string) (*reload.Store[Token], error) {
	if path == "" {
		return nil, nil
	}
	return reload.NewStore("http.bearer_token_file", []reload.File{{Path: path, Secret: true}}, func(c reload.Contents) (Token, error) {
		text := bytes.TrimSpace(c[path])
		switch {
		case len(text) < shortestToken:
			return Token{}, fmt.Errorf("%s: token has fewer than %d characters", path, shortestToken)
		case bytes.ContainsAny(text, " \t\r\n"):
			return Token{}, errors.New(path + ": token contains white space")
		}
		return Token{sha256.Sum256(text)}, nil
	})
}
