package prepared

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"sync/atomic"
)

// numbers is the last that was given.
var numbers atomic.Uint64

// NextNumber numbers the statements that are not shared, and the
// unnamed ones of all sessions.
func NextNumber() uint64 { return numbers.Add(1) }

// clock orders the Parse messages of all sessions and their answers.
var clock atomic.Uint64

// Now returns a moment later than all before.
func Now() uint64 { return clock.Add(1) }

// Prefix begins the name of each statement and portal of ours.
const Prefix = "pgseal_"

// NewName returns a name for a statement on a server. It can't be guessed, so no
// text of a client's comes to name it by accident or design.
func NewName() string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var b [len(Prefix) + 20]byte
	copy(b[:], Prefix)
	bits, more := rand.Uint64(), rand.Uint64() // ChaCha8, seeded by the system
	for i := len(Prefix); i < len(b); i++ {
		b[i] = letters[bits&31]
		bits = bits>>5 | more<<59
		more >>= 5
	}
	return string(b[:])
}

// Columns is a digest of the columns that a statement returns.
type Columns digest

// ColumnsOf digests the body of a RowDescription: the names, types and modifiers
// of its columns. From which tables they come does not count, nor in which form
// they are sent.
func ColumnsOf(body []byte) Columns {
	h := sha256.New()
	if len(body) >= 2 {
		for body = body[2:]; len(body) > 0; {
			end := bytes.IndexByte(body, 0)
			const table, typ, size, modifier, form = 6, 4, 2, 4, 2
			if end < 0 || len(body) < end+1+table+typ+size+modifier+form {
				break
			}
			h.Write(body[:end+1])
			body = body[end+1+table:]
			h.Write(body[:typ+size+modifier])
			body = body[typ+size+modifier+form:]
		}
	}
	return Columns(h.Sum(nil))
}
