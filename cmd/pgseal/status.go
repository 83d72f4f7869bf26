package main

import (
	"github.com/pgseal/pgseal/internal/status"
	"github.com/pgseal/pgseal/tlsconf"
)

// statusPage is the page for people. Its Run keeps its history.
func (r *instance) statusPage() *status.Page {
	return status.New(status.Sources{
		Version: version(), Pools: r.manager, Clients: r.proxy, Certificates: r.loadedCertificates, Files: r.statusFiles, Missing: r.ready,
	})
}

// loadedCertificates lists what is in force on both legs, and of HTTP.
func (r *instance) loadedCertificates() (list []status.Loaded) {
	for _, c := range r.Certificates() {
		list = append(list, status.Loaded{Loaded: c.Loaded, Where: c.Where})
	}
	p := r.parts()
	if store := p.http.cert; store != nil {
		for _, x := range store.Load().Loaded(tlsconf.ListenerConfig{CertFile: p.file.HTTP.TLS.CertFile}) {
			list = append(list, status.Loaded{Loaded: x, Where: store.Name()})
		}
	}
	return list
}

func (r *instance) statusFiles() (list []status.File) {
	for _, f := range r.files() {
		list = append(list, status.File{Name: f.Name, Status: f.Status})
	}
	return list
}
