// Package report shows a run: as tables in a terminal, as Markdown, and as one
// HTML page with plots. It measures nothing and reads no files, and the same run
// always gives the same bytes.
//
// view.go decides what is said, once, for all three; terminal.go, markdown.go
// and html.go only say it. A plot is a scene: marks with coordinates, computed in
// lines.go, bars.go and ratios.go and written as SVG by the page's template, which
// thereby escapes every string of it. Colours are CSS variables of the page, so
// one drawing serves light and dark, and no meaning hangs on a colour alone.
package report
