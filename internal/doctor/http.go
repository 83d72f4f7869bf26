package doctor

import "github.com/pgseal/pgseal/internal/httpd"

const subjectHTTP = "http"

func httpPlaintext(e *exam) {
	if e.file.HTTP.Public() && e.file.HTTP.TLS.CertFile == "" {
		e.found(subjectHTTP, "http.address", "HTTP is served without TLS on "+e.file.HTTP.Address,
			"http.tls with cert_file and key_file, or address: "+httpd.DefaultAddress)
	}
}

func httpOpen(e *exam) {
	if e.file.HTTP.Public() && e.file.HTTP.BearerTokenFile == "" {
		what := "anyone who can reach " + e.file.HTTP.Address + " can read metrics"
		if e.file.HTTP.Pprof {
			what += " and profiles"
		}
		e.found(subjectHTTP, "http.address", what, "bearer_token_file, or address: "+httpd.DefaultAddress)
	}
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
