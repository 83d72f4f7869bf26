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
