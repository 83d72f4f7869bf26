package login

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"syscall"

	"github.com/pgseal/pgseal/internal/engine"
)

// peerUser returns the name of the user at the other end of a unix socket
// (SO_PEERCRED of unix(7)).
func peerUser(conn *engine.Transport) (string, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return "", err
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, failed); err != nil {
		return "", fmt.Errorf("could not get peer credentials: %w", err)
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10))
	if err != nil {
		return "", fmt.Errorf("could not look up local user: %w", err)
	}
	return u.Username, nil
}
