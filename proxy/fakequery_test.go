package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What the fake server makes of statements, and of the extended-query protocol:
// as much of PostgreSQL as the relay leans on.

// bounded is a portal.
type bounded struct {
	sql    string
	params []string
}

// extended is the state of the extended-query protocol in a session.
type extended struct {
	statements map[string]string
	portals    map[string]bounded
	skips      bool // up to the next Sync
}

func (b *backend) answer(typ byte, body string) error {
	x := &b.extended
	if x.skips && typ != 'S' {
		return nil
	}
	switch typ {
	case 'Q':
		delete(x.statements, "")
		return b.query(strings.TrimSuffix(body, "\x00"))
	case 'P':
		return b.parse(body)
	case 'B':
		return b.bind(body)
	case 'C':
		if name := strings.TrimSuffix(body[1:], "\x00"); body[0] == 'S' {
			delete(x.statements, name)
		} else {
			delete(x.portals, name)
		}
		return b.send(closed)
	case 'D':
		return b.describe(body)
	case 'E':
		return b.execute(body)
	case 'S':
		x.skips = false
		return b.send(ready(b.status))
	case 'H', 'd', 'c', 'f':
		return nil
	}
	return fmt.Errorf("message type %q", typ)
}

// fatal returns the error with which a server refuses a login.
func fatal(code string) string {
	return msg('E', "SFATAL\x00VFATAL\x00C", code, "\x00Mit went wrong\x00\x00")
}

func (b *backend) fails(code string) error {
	b.extended.skips = true
	return b.send(serverError(code))
}

func (b *backend) parse(body string) error {
	name, text, _ := strings.Cut(body, "\x00")
	sql, _, _ := strings.Cut(text, "\x00")
	if _, taken := b.extended.statements[name]; taken && name != "" {
		return b.fails("42P05")
	}
	b.extended.statements[name], b.parsed = sql, sql
	return b.send(parsed)
}

func (b *backend) bind(body string) error {
	portal, rest, _ := strings.Cut(body, "\x00")
	name, _, _ := strings.Cut(rest, "\x00")
	sql, known := b.extended.statements[name]
	if !known {
		return b.fails("26000")
	}
	b.params = boundParams(body)
	b.extended.portals[portal] = bounded{sql, b.params}
	return b.send(bound)
}

func (b *backend) describe(body string) error {
	name := strings.TrimSuffix(body[1:], "\x00")
	sql, known := b.extended.statements[name]
	if body[0] == 'P' {
		var p bounded
		p, known = b.extended.portals[name]
		sql = p.sql
	}
	if !known {
		return b.fails("26000")
	}
	rows := noData
	if strings.HasPrefix(sql, "SELECT") || strings.HasPrefix(sql, "SHOW") {
		rows = rowDescription
	}
	if body[0] == 'S' {
		return b.send(described, rows)
	}
	return b.send(rows)
}

func (b *backend) execute(body string) error {
	name, _, _ := strings.Cut(body, "\x00")
	p, known := b.extended.portals[name]
	if !known {
		return b.fails("34000")
	}
	b.server.mu.Lock()
	lookup := b.server.lookup
	b.server.mu.Unlock()
	switch {
	case lookup != nil && len(p.params) > 0:
		return b.send(lookup(p.sql, p.params))
	case strings.HasPrefix(p.sql, "SELECT pg_catalog.current_setting("):
		return b.send(b.showAll(p.sql), complete("SELECT 1"))
	case strings.HasPrefix(p.sql, "SELECT"):
		if out, ours := b.setting(p.sql); ours {
			return b.send(out...)
		}
		return b.send(row("1"), complete("SELECT 1"))
	}
	return b.send(complete(p.sql))
}

// boundParams returns the parameters of a Bind without format codes.
func boundParams(body string) (params []string) {
	_, body, _ = strings.Cut(body, "\x00") // portal
	_, body, _ = strings.Cut(body, "\x00") // statement
	if len(body) < 4 || body[:2] != "\x00\x00" {
		return nil
	}
	n := int(binary.BigEndian.Uint16([]byte(body[2:])))
	for body = body[4:]; n > 0; n-- {
		size := int(binary.BigEndian.Uint32([]byte(body)))
		params, body = append(params, body[4:4+size]), body[4+size:]
	}
	return params
}

func (b *backend) query(sql string) error {
	b.server.statements <- question{b.pid, sql}
	b.server.mu.Lock()
	handler := b.server.handlers[sql]
	b.server.mu.Unlock()
	if handler != nil {
		handler(b)
		return nil
	}
	show, isShow := strings.CutPrefix(sql, "SHOW ")
	switch {
	case sql == "BEGIN":
		b.status = "T"
	case sql == "COMMIT", sql == "ROLLBACK":
		b.status = "I"
	case sql == "DISCARD ALL":
		clear(b.extended.statements)
		return b.send(append(b.reset(), complete("DISCARD ALL"), ready(b.status))...)
	case sql == "RESET ALL":
		return b.send(append(b.reset(), complete("RESET"), ready(b.status))...)
	case strings.Contains(sql, "pg_catalog.encode("):
		return b.send(append(b.stateProbe(sql), ready(b.status))...)
	case sql == "SELECT pid":
		return b.send(rowDescription, row(fmt.Sprint(b.pid)), complete("SELECT 1"), ready(b.status))
	case isShow:
		return b.send(rowDescription, row(b.settings[show]), complete("SHOW"), ready(b.status))
	}
	if out, ours := b.setting(sql); ours {
		return b.send(append([]string{rowDescription}, append(out, ready(b.status))...)...)
	}
	return b.send(complete(sql), ready(b.status))
}

var (
	setConfig = regexp.MustCompile(`set_config\('([^']*)', (?:'([^']*)'|(NULL)), (?:false|true)\)`)
	bringBack = regexp.MustCompile(`\('([^']*)'::pg_catalog\.text, '([^']*)'::pg_catalog\.text\)`)
	shown     = regexp.MustCompile(`current_setting\('([^']*)'\)`)
)

// setting does what a statement of the relay's says that sets parameters, and
// refuses the parameter "bad".
func (b *backend) setting(sql string) (out []string, ours bool) {
	if !strings.HasPrefix(sql, "SELECT pg_catalog.set_config(") {
		return nil, false
	}
	for _, m := range setConfig.FindAllStringSubmatch(sql, -1) {
		name, value := m[1], m[2]
		if name == "bad" {
			return []string{serverError("22023")}, true
		}
		if m[3] != "" {
			value = b.defaults[name]
		}
		out = append(out, b.becomes(name, value)...)
	}
	for _, m := range bringBack.FindAllStringSubmatch(sql, -1) {
		if b.settings[m[1]] == b.defaults[m[1]] {
			out = append(out, b.becomes(m[1], m[2])...)
		}
	}
	return append(out, row("x"), complete("SELECT 1")), true
}

// becomes sets a parameter, and returns what the server reports of it.
func (b *backend) becomes(name, value string) []string {
	was := b.settings[name]
	b.settings[name] = value
	if i := slices.Index(reported, name); i%2 == 0 && was != value {
		return []string{parameter(name, value)}
	}
	return nil
}

// reset takes all parameters back.
func (b *backend) reset() (out []string) {
	for _, name := range slices.Sorted(maps.Keys(b.settings)) {
		out = append(out, b.becomes(name, b.defaults[name])...)
	}
	return out
}

// stateProbe answers what the relay asks of the session: which parameters are set,
// and for which role. Nothing else is ever left in it.
func (b *backend) stateProbe(sql string) (out []string) {
	fields := func(kind, name, value string) string {
		name, value = hex.EncodeToString([]byte(name)), hex.EncodeToString([]byte(value))
		return msg('D', "\x00\x03", size(kind), kind, size(name), name, size(value), value)
	}
	if strings.Contains(sql, "pg_settings") {
		for _, name := range slices.Sorted(maps.Keys(b.settings)) {
			if value := b.settings[name]; value != b.defaults[name] {
				out = append(out, fields("s", name, value))
			}
		}
	}
	if strings.Contains(sql, "SESSION_USER") {
		out = append(out, fields("u", "", b.startup["user"]))
	}
	return append(out, complete(fmt.Sprint("SELECT ", len(out))))
}

// showAll returns the row of a statement that asks for several parameters.
func (b *backend) showAll(sql string) string {
	names := shown.FindAllStringSubmatch(sql, -1)
	body := []string{string(binary.BigEndian.AppendUint16(nil, uint16(len(names))))}
	for _, m := range names {
		body = append(body, size(b.settings[m[1]]), b.settings[m[1]])
	}
	return msg('D', body...)
}
