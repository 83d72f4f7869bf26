package main

import (
	"github.com/pgseal/pgseal/internal/stats"
	"github.com/pgseal/pgseal/internal/status"
	"github.com/pgseal/pgseal/tlsconf"
)

// statusPage is the page for people. Its Run keeps its history.
func (r *instance) statusPage() *status.Page {
	return status.New(status.Sources{
		Version: version(), Pools: r.manager, Clients: r.proxy, Certificates: r.loadedCertificates, Files: r.files, Missing: r.ready,
	})
}

// loadedCertificates lists what is in force on both legs, and of HTTP.
func (r *instance) loadedCertificates() []stats.Certificate {
	list, p := r.Certificates(), r.parts()
	if store := p.http.cert; store != nil {
		list = append(list, loaded(store, store.Load().Loaded(tlsconf.ListenerConfig{CertFile: p.file.HTTP.TLS.CertFile}))...)
	}
	return list
}
