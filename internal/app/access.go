package app

import (
	"reflect"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/proxy/login"
)

// access is the part of the access rules and user name maps, with the files that
// they include.
type access struct {
	plain
	config login.Config
	store  *reload.Store[*login.Access]
}

func (c *access) load(a *App, f config.File, old *setup) (err error) {
	c.config = f.Auth
	if !old.empty() && c.same(old) {
		c.store = old.access.store
		return nil
	}
	c.store, err = reload.NewTreeStore("access rules", func(files *reload.Reader) (*login.Access, error) {
		return login.ParseAccess(files, f.Path(), f.Auth)
	})
	if err == nil {
		c.store.OnChange(func(*login.Access) { a.configureProxy() })
	}
	return f.Fault("auth", err)
}

func (c *access) same(old *setup) bool { return reflect.DeepEqual(c.config, old.access.config) }

func (c *access) warn(log *zap.Logger, _ *setup) {
	for _, w := range c.store.Load().Warnings() {
		log.Warn("weak access rule", zap.String("warning", w))
	}
}

func (c *access) files() []files { return []files{filesOf(c.store)} }
