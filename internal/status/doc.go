// Package status is the status page for operators, and the JSON that the page is
// made of.
//
//	counters of pool, proxy, tlsconf ──every 5 s──► history ─┐
//	             └─────────────on request──────────► Report ─┴─► JSON ─► page.js
//
// The history holds the last 15 minutes of all pools together and of a bounded
// number of them alone. One goroutine keeps it, that of Page.Run. A Report is
// made at most once a second, however many requests there are.
//
// The page is one self-contained file, and changes nothing. Untrusted names and
// texts are inserted as text, never as markup, and characters that could disguise
// them are spelled out: see clean.
//
// The package counts nothing itself, knows no token and opens no address: that
// is httpd's.
package status
