// Package httpd is pgseal's HTTP server: health for those who start, stop and
// route to pgseal, and what it is given to show to who may see it. It is for
// machines and people who look after pgseal, not for clients of PostgreSQL.
//
// It changes nothing: only GET and HEAD are answered. Health needs no token, so
// it says no more than what is missing. The package knows nothing of what it
// shows, and opens no file itself: the token and the certificate are tlsconf's.
package httpd
