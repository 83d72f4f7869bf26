package doctor

import (
	"net"

	"github.com/pgseal/pgseal/internal/httpd"
)

const subjectHTTP = "http"

// httpIsPublic reports whether other machines reach the HTTP server.
func (e *exam) httpIsPublic() bool {
	if e.file.HTTP.Address == "" {
		return false
	}
	host, _, err := net.SplitHostPort(e.file.HTTP.Address)
	return err != nil || !loopback(host)
}

func httpPlaintext(e *exam) {
	if e.httpIsPublic() && e.file.HTTP.TLS.CertFile == "" {
		e.found(subjectHTTP, "http.address", "HTTP is served without TLS on "+e.file.HTTP.Address,
			"http.tls with cert_file and key_file, or address: "+httpd.DefaultAddress)
	}
}

func httpOpen(e *exam) {
	if e.httpIsPublic() && e.file.HTTP.BearerTokenFile == "" {
		what := "anyone who can reach " + e.file.HTTP.Address + " can read metrics"
		if e.file.HTTP.Pprof {
			what += " and profiles"
		}
		e.found(subjectHTTP, "http.address", what, "bearer_token_file, or address: "+httpd.DefaultAddress)
	}
}

// httpFiles returns the files of the HTTP server.
func (e *exam) httpFiles() (list []named) {
	c := e.file.HTTP
	if c.Address == "" {
		return nil
	}
	if c.TLS.CertFile != "" {
		list = append(list, named{subjectHTTP, "http.tls.cert_file", c.TLS.CertFile, false},
			named{subjectHTTP, "http.tls.key_file", c.TLS.KeyFile, true})
	}
	if c.BearerTokenFile != "" {
		list = append(list, named{subjectHTTP, "http.bearer_token_file", c.BearerTokenFile, true})
	}
	return list
}

// unusableHTTP reports why the HTTP server would not start.
func (e *exam) unusableHTTP(report func(subject, key string, err error)) {
	if e.file.HTTP.Address == "" {
		return
	}
	_, err := e.file.HTTP.TLS.NewCertificate()
	report(subjectHTTP, "http.tls", err)
	_, err = httpd.NewToken(e.file.HTTP.BearerTokenFile)
	report(subjectHTTP, "http.bearer_token_file", err)
}
