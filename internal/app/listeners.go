package app

import (
	"errors"
	"fmt"
	"net"
	"reflect"

	"go.uber.org/zap"

	"github.com/pgseal/pgseal/internal/config"
	"github.com/pgseal/pgseal/internal/reload"
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/proxy"
	"github.com/pgseal/pgseal/tlsconf"
)

// listeners are the part of the section listen. Those that are open are the
// ones of the start.
type listeners struct {
	configs []config.Listen
	stores  map[string]*reload.Store[*tlsconf.Listener] // by address; nil without TLS
	opened  map[string]*proxy.Listener                  // by address
}

func (l *listeners) load(_ *App, f config.File, old *setup) error {
	*l = listeners{configs: f.Listen, stores: map[string]*reload.Store[*tlsconf.Listener]{}, opened: old.listeners.opened}
	var errs []error
	for i, c := range f.Listen {
		store, err := l.store(c, &old.listeners)
		errs = append(errs, f.Fault(fmt.Sprintf("listen[%d].tls", i), err))
		l.stores[c.Address] = store
	}
	return errors.Join(errs...)
}

func (l *listeners) store(c config.Listen, old *listeners) (*reload.Store[*tlsconf.Listener], error) {
	if c.TLS.Mode == tlsconf.ListenDisable {
		return nil, nil
	}
	for _, o := range old.configs {
		if o.Address == c.Address && reflect.DeepEqual(o.TLS, c.TLS) {
			return old.stores[c.Address], nil
		}
	}
	store, err := tlsconf.NewListenerStore("listener "+c.Address, c.TLS)
	return successor(store, err, old.stores[c.Address])
}

// successor applies to a store of other files the rule for reloads of the same
// files: nothing expired may replace what is valid.
func successor[T reload.Successor[T]](store *reload.Store[T], err error, old *reload.Store[T]) (*reload.Store[T], error) {
	if err != nil || old == nil {
		return store, err
	}
	return store, store.Load().MaySucceed(old.Load())
}

func (l *listeners) same(old *setup) bool {
	return len(l.closed()) == 0 && reflect.DeepEqual(l.configs, old.listeners.configs)
}

// closed returns the addresses that were not opened at the start.
func (l *listeners) closed() (list []string) {
	for _, c := range l.configs {
		if l.opened[c.Address] == nil {
			list = append(list, c.Address)
		}
	}
	return list
}

func (l *listeners) apply(*App) {
	for _, c := range l.configs {
		if ln := l.opened[c.Address]; ln != nil {
			ln.Configure(c.TLS.Mode, l.stores[c.Address])
		}
	}
}

func (l *listeners) restart(log *zap.Logger) {
	for _, address := range l.closed() {
		log.Warn("listener cannot be added without a restart", zap.String("address", address))
	}
}

func (l *listeners) warn(log *zap.Logger, _ *setup) {
	for _, c := range l.configs {
		if store := l.stores[c.Address]; store != nil {
			for _, w := range store.Load().Warnings {
				log.Warn("certificate warning", zap.String("listener", c.Address), zap.String("warning", w))
			}
		}
		if network, _ := c.Network(); network == "unix" {
			continue
		}
		for _, w := range c.TLS.Warnings() {
			log.Warn("weak setting", zap.String("listener", c.Address), zap.String("warning", w))
		}
	}
}

func (l *listeners) files() (list []files) {
	for _, c := range l.configs {
		if store := l.stores[c.Address]; store != nil {
			list = append(list, certificates(store, func(v *tlsconf.Listener) []stats.Certificate { return v.Loaded(c.TLS) }))
		}
	}
	return list
}

// open opens all listeners. It is called once.
func (l *listeners) open(log *zap.Logger, p *proxy.Server) error {
	l.opened = map[string]*proxy.Listener{}
	for _, c := range l.configs {
		ln, err := p.Listen(c.ListenConfig, l.stores[c.Address])
		if err != nil {
			if op, ok := errors.AsType[*net.OpError](err); ok {
				err = op.Err // the rest repeats the address
			}
			return fmt.Errorf("could not listen on %s: %w", c.Address, err)
		}
		l.opened[c.Address] = ln
		log.Info("listening", zap.String("address", c.Address), zap.String("tls", c.TLS.Mode))
	}
	return nil
}
