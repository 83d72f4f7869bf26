package proxy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"github.com/pgseal/pgseal/internal/wire"
)

// cancelKeys finds the session that a cancel key was handed out to. The zero
// value is ready for use, from any goroutine.
type cancelKeys struct {
	mu    sync.RWMutex
	byPID map[uint32]*session
}

// Sizes of a secret in bytes: all that protocol 3.0 has room for, and what
// PostgreSQL gives since 3.2 has room for 256.
const (
	shortSecret = 4
	longSecret  = 32
)

// issue gives s a key of its own, of random bits, as long as the version of the
// protocol has it. The process ID is no more
// than a name to look it up by.
func (k *cancelKeys) issue(s *session, version uint32) {
	b := make([]byte, 4+shortSecret)
	if version >= wire.Version32 {
		b = make([]byte, 4+longSecret)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPID == nil {
		k.byPID = map[uint32]*session{}
	}
	for {
		rand.Read(b)
		pid := binary.BigEndian.Uint32(b) >> 1 // drivers read it as a signed number
		if pid == 0 || k.byPID[pid] != nil {
			continue
		}
		s.key = wire.CancelKey{PID: pid, Secret: string(b[4:])}
		k.byPID[pid] = s
		return
	}
}

// find returns the session that key was issued to, or nil.
func (k *cancelKeys) find(key wire.CancelKey) *session {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s := k.byPID[key.PID]
	if s == nil || subtle.ConstantTimeCompare([]byte(s.key.Secret), []byte(key.Secret)) != 1 {
		return nil
	}
	return s
}

// forget makes the key of s worthless.
func (k *cancelKeys) forget(s *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byPID[s.key.PID] == s {
		delete(k.byPID, s.key.PID)
	}
}
