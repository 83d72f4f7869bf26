// Package status is the page that shows people how pgseal does, and the JSON
// that the page is made of.
//
//	counters of pool, proxy, tlsconf ──every 5 s──► history ─┐
//	             └──────────when somebody asks─────► Report ─┴─► JSON ─► page.js
//
// The history holds the last 15 minutes of all pools together and of a bounded
// number of them alone. One goroutine keeps it, that of Page.Run. A Report is
// made at most once a second, however many people look.
//
// The page is one file without anything from elsewhere, and changes nothing.
// Names and texts that strangers choose go into it as text, never as markup,
// and what could make them look like other text is spelled out: see clean.
//
// The package counts nothing itself, knows no token and opens no address: that
// is httpd's.
package status
