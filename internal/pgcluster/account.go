package pgcluster

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that runs PostgreSQL when we are root; nil stands for
// ourselves.
type account struct {
	name     string
	uid, gid uint32
}

// serverAccount returns who shall run PostgreSQL, which refuses to be root.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it")
}

// attributes makes a child process run as the account, in a process group of
// its own: a terminal's interrupt reaches us, and we stop the server.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives a file to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// writeFile writes a new file that the account owns and only it can read, then
// renames it over name: a server that reads it never sees half.
func (a *account) writeFile(name string, data []byte) error {
	temp := name + ".new"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	if err := errors.Join(a.own(temp), os.Rename(temp, name)); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// mkdir makes a new directory of the account's. With parent "" it takes the
// first temporary directory that the account can enter: $TMPDIR is often
// private to the user who set it.
func (a *account) mkdir(parent string) (string, error) {
	parents := []string{parent}
	if parent == "" {
		parents = []string{os.TempDir(), "/tmp", "/var/tmp"}
	}
	var err error
	for _, parent := range parents {
		if parent, err = filepath.Abs(parent); err != nil {
			continue
		}
		if err = a.canEnter(parent); err == nil {
			return a.mkdirIn(parent)
		}
	}
	return "", err
}

func (a *account) mkdirIn(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "pgseal-postgres-")
	if err != nil {
		return "", err
	}
	if err := a.own(dir); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// canEnter tells whether the account may pass through dir and all above it. We
// are root and would not notice by trying.
func (a *account) canEnter(dir string) error {
	if a == nil {
		return nil
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !a.mayExecute(info) {
			return fmt.Errorf("user %s, who runs PostgreSQL, cannot enter %s", a.name, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a *account) mayExecute(info os.FileInfo) bool {
	bit := os.FileMode(0o001)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == a.uid:
			bit = 0o100
		case stat.Gid == a.gid:
			bit = 0o010
		}
	}
	return info.Mode()&bit != 0
}
