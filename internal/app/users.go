package app

import (
	"errors"

	"github.com/pgseal/pgseal/internal/auth"
	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/reload"
)

// users are the part of the secrets in the section auth.
type users struct {
	plain
	store      *reload.Store[*auth.Users] // nil without a users_file
	mocker     *auth.Mocker               // makes the salts of strangers
	lookupPass string                     // of auth_user, from its file
}

func (u *users) load(a *App, f config.File, old *setup) error {
	var failed [3]error
	u.mocker, failed[0] = mockerOf(f, old)
	u.store, failed[1] = u.storeOf(a, f.Auth.UsersFile, old)
	u.lookupPass, failed[2] = reload.ReadPassword(f.Auth.AuthPasswordFile)
	return errors.Join(f.Fault("auth.mock_secret_file", failed[0]), f.Fault("auth.users_file", failed[1]), f.Fault("auth.auth_password_file", failed[2]))
}

func mockerOf(f config.File, old *setup) (*auth.Mocker, error) {
	was := old.users.mocker
	switch {
	case f.Auth.MockSecretFile != "":
		m, err := readMocker(f.Auth.MockSecretFile)
		if err != nil || !m.Same(was) {
			return m, err
		}
	case was == nil || old.file.Auth.MockSecretFile != "":
		return auth.NewMocker(nil), nil
	}
	return was, nil
}

func readMocker(path string) (*auth.Mocker, error) {
	content, err := reload.ReadSecretFile(path)
	if err != nil {
		return nil, err
	}
	return auth.ParseMocker(path, content)
}

func (u *users) storeOf(a *App, path string, old *setup) (*reload.Store[*auth.Users], error) {
	m, last := u.mocker, old.users.inForce()
	switch {
	case path == "" || m == nil:
		return nil, nil
	case old.users.store != nil && path == old.file.Auth.UsersFile && m == old.users.mocker:
		return old.users.store, nil
	}
	store, err := reload.NewStore("users_file", []reload.File{{Path: path, Secret: true}},
		func(content reload.Contents) (*auth.Users, error) {
			users, err := auth.ParseUsers(path, content[path], m, last)
			if err == nil {
				last = users
			}
			return users, err
		})
	if err != nil {
		return nil, err
	}
	store.OnChange(func(*auth.Users) { a.configureProxy() })
	return store, nil
}

// inForce returns the users of the file as they are now, nil without one.
func (u *users) inForce() *auth.Users {
	if u.store == nil {
		return nil
	}
	return u.store.Load()
}

func (u *users) same(old *setup) bool { return *u == old.users }

func (u *users) files() []files {
	if u.store == nil {
		return nil
	}
	return []files{filesOf(u.store)}
}
