//go:build !linux

package login

import (
	"errors"

	"github.com/pgseal/pgseal/internal/engine"
)

// peerUser is for Linux only.
func peerUser(*engine.Transport) (string, error) {
	return "", errors.New("peer authentication is not supported on this platform")
}
