package auth

import (
	"fmt"
	"io"
)

// Everything here that holds a secret prints as one of these words, whatever
// the verb and however deep inside another value it sits. fmt finds Format
// before anything else; String serves those who ask for a Stringer, and
// MarshalText keeps JSON and YAML encoders, and so structured logs, out.
const (
	redactedSecret     = "auth.Secret[redacted]"
	redactedCredential = "auth.Credential[redacted]"
	redactedMD5        = "auth.MD5Secret[redacted]"
	redactedKeys       = "auth.Keys[redacted]"
	redactedUsers      = "auth.Users[redacted]"
	redactedMocker     = "auth.Mocker[redacted]"
	redactedServer     = "auth.ServerExchange[redacted]"
	redactedClient     = "auth.ClientExchange[redacted]"
)

// Format writes a placeholder for every verb; see [Secret.Encode] for the text.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redactedSecret) }

// String returns a placeholder.
func (Secret) String() string { return redactedSecret }

// GoString returns a placeholder.
func (Secret) GoString() string { return redactedSecret }

// MarshalText returns a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redactedSecret), nil }

// Format writes a placeholder for every verb.
func (Credential) Format(f fmt.State, _ rune) { io.WriteString(f, redactedCredential) }

// String returns a placeholder.
func (Credential) String() string { return redactedCredential }

// GoString returns a placeholder.
func (Credential) GoString() string { return redactedCredential }

// MarshalText returns a placeholder.
func (Credential) MarshalText() ([]byte, error) { return []byte(redactedCredential), nil }

// Format writes a placeholder for every verb.
func (*Users) Format(f fmt.State, _ rune) { io.WriteString(f, redactedUsers) }

// Format writes a placeholder for every verb.
func (*Mocker) Format(f fmt.State, _ rune) { io.WriteString(f, redactedMocker) }

// Format writes a placeholder for every verb.
func (*ServerExchange) Format(f fmt.State, _ rune) { io.WriteString(f, redactedServer) }

// Format writes a placeholder for every verb.
func (*ClientExchange) Format(f fmt.State, _ rune) { io.WriteString(f, redactedClient) }

// Format writes a placeholder for every verb.
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, redactedKeys) }

// MarshalText returns a placeholder.
func (Keys) MarshalText() ([]byte, error) { return []byte(redactedKeys), nil }

// Format writes a placeholder for every verb.
func (MD5Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redactedMD5) }

// String returns a placeholder.
func (MD5Secret) String() string { return redactedMD5 }

// GoString returns a placeholder.
func (MD5Secret) GoString() string { return redactedMD5 }

// MarshalText returns a placeholder.
func (MD5Secret) MarshalText() ([]byte, error) { return []byte(redactedMD5), nil }
