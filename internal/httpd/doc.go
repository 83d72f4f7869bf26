// Package httpd is pgseal's HTTP server: health for supervisors and load balancers,
// and pages for those who have the token. It is for operating pgseal, not for
// clients of PostgreSQL.
//
// It changes nothing: only GET and HEAD are answered. Health needs no token, so
// it reveals only what is missing. The package knows nothing about the pages, and
// opens no files itself: package reload does.
package httpd
