package integration

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A dialogue is what several clients do, in order. It is written a step a line:
//
//	a  query begin
//	b  parse s: select $1::int ;; bind =s (1) ;; execute ;; sync
//	   => 1
//
// The first word is the client, what follows are messages that leave in one
// write. Then what PostgreSQL owes is awaited, unless a ~ follows the client's
// name. "=> words" says what PostgreSQL has to answer among other things. The
// client named super is a superuser with a connection to PostgreSQL itself.
//
//	query SQL            run SQL (Parse, Bind, Execute)
//	parse NAME[OIDS]: SQL
//	bind PORTAL=NAME (VALUE, 0xBINARY, null) binary
//	describe =NAME       describe PORTAL       close =NAME       close PORTAL
//	execute PORTAL/ROWS  sync   flush   terminate
//	data TEXT\n          done   fail WHY       call OID (VALUE)
//
// "N times MESSAGE" repeats, with {i} counted; {x*N} stands for N times x. A line may also be a
// single action: join OPTIONS (a new connection; the first needs none), leave
// (the connection closes without a word), rst (it breaks), cancel (once
// pg_sleep(…), 'CLIENT' runs).
type dialogue []turn

type turn struct {
	client string
	text   string   // what follows the client's name
	hasty  bool     // the answer is not awaited
	want   []string // what PostgreSQL's answer has to contain
	wire   []byte   // what is sent; nil for an action
	owed   int      // how many ReadyForQuery there are at most
	asks   bool     // something in it brings answers
	ends   bool     // it says Terminate
}

// String is the step as it stands in a dialogue.
func (s turn) String() string {
	client := s.client
	if s.hasty {
		client += "~"
	}
	return client + "  " + s.text
}

func (s dialogue) String() string {
	var b strings.Builder
	for _, st := range s {
		fmt.Fprintf(&b, "%s\n", st)
	}
	return b.String()
}

// parseDialogue panics where a dialogue is not one: dialogues are ours.
func parseDialogue(text string) (s dialogue) {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if want, ok := strings.CutPrefix(line, "=>"); ok {
			last := &s[len(s)-1]
			last.want = append(last.want, strings.TrimSpace(want))
			continue
		}
		client, rest, _ := strings.Cut(line, " ")
		s = append(s, newTurn(client, strings.TrimSpace(rest)))
	}
	return s
}

// ended has those clients leave who have not yet: what they read until then is
// all that they read.
func (s dialogue) ended() dialogue {
	last := map[string]turn{}
	var order []string
	for _, st := range s {
		if _, known := last[st.client]; !known && st.client != "super" {
			order = append(order, st.client)
		}
		last[st.client] = st
	}
	s = slices.Clone(s)
	for _, client := range order {
		if st := last[client]; !st.ends && st.text != "leave" && st.text != "rst" {
			s = append(s, newTurn(client, "sync ;; terminate"))
		}
	}
	return s
}

func newTurn(client, text string) turn {
	st := turn{text: text}
	st.client, st.hasty = strings.CutSuffix(client, "~")
	word, _, _ := strings.Cut(text, " ")
	if st.client == "super" || word == "pause" || strings.Contains(" join leave rst cancel ", " "+word+" ") {
		return st
	}
	for message := range strings.SplitSeq(text, " ;; ") {
		st.add(expand(strings.TrimSpace(message)))
	}
	return st
}

var repeated = regexp.MustCompile(`\{(.)\*(\d+)\}`)

func expand(text string) string {
	return repeated.ReplaceAllStringFunc(text, func(found string) string {
		part := repeated.FindStringSubmatch(found)
		return strings.Repeat(part[1], number(part[2]))
	})
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

// add encodes one message of a dialogue.
func (s *turn) add(text string) {
	word, rest, _ := strings.Cut(text, " ")
	if n, repeated, ok := strings.Cut(text, " times "); ok && n == word {
		for i := range number(n) {
			s.add(strings.ReplaceAll(repeated, "{i}", strconv.Itoa(i)))
		}
		return
	}
	switch word {
	case "query":
		s.send('Q', zero(rest))
	case "run":
		s.add("parse : " + rest)
		s.add("bind")
		s.add("execute")
	case "parse":
		name, sql, _ := strings.Cut(rest, ":")
		name, types, _ := strings.Cut(strings.TrimSpace(name), "[")
		s.send('P', zero(name)+zero(strings.TrimPrefix(sql, " "))+oids(strings.TrimSuffix(types, "]")))
	case "bind":
		s.send('B', binding(rest))
	case "describe":
		s.send('D', target(rest))
	case "close":
		s.send('C', target(rest))
	case "execute":
		portal, rows, _ := strings.Cut(rest, "/")
		s.send('E', zero(portal)+string(binary.BigEndian.AppendUint32(nil, uint32(number("0"+rows)))))
	case "sync":
		s.send('S', "")
	case "flush":
		s.send('H', "")
	case "terminate":
		s.send('X', "")
	case "data":
		s.send('d', strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(rest))
	case "done":
		s.send('c', "")
	case "fail":
		s.send('f', zero(rest))
	case "call":
		oid, args, _ := strings.Cut(rest, " ")
		formats, values := arguments(args)
		s.send('F', string(binary.BigEndian.AppendUint32(nil, uint32(number(oid))))+formats+values+"\x00\x00")
	default:
		panic("no message: " + text)
	}
}

func (s *turn) send(kind byte, body string) {
	s.wire = append(s.wire, kind)
	s.wire = binary.BigEndian.AppendUint32(s.wire, uint32(4+len(body)))
	s.wire = append(s.wire, body...)
	switch kind {
	case 'Q', 'S', 'F':
		s.owed++
		s.asks = true
	case 'H', 'd', 'c', 'f':
		s.asks = true
	case 'X':
		s.ends = true
	}
}

func zero(text string) string { return text + "\x00" }

func short(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }

// target is a statement where it begins with =, else a portal.
func target(text string) string {
	if name, ok := strings.CutPrefix(text, "="); ok {
		return "S" + zero(name)
	}
	return "P" + zero(text)
}

func oids(list string) string {
	if list == "" {
		return short(0)
	}
	parts := strings.Split(list, ",")
	b := short(len(parts))
	for _, oid := range parts {
		b += string(binary.BigEndian.AppendUint32(nil, uint32(number(oid))))
	}
	return b
}

func binding(text string) string {
	text, asBinary := strings.CutSuffix(text, " binary")
	names, args, _ := strings.Cut(text, "(")
	portal, statement, _ := strings.Cut(names, "=")
	formats, values := arguments(args)
	results := short(0)
	if asBinary {
		results = short(1) + short(1)
	}
	return zero(strings.TrimSpace(portal)) + zero(strings.TrimSpace(statement)) + formats + values + results
}

// arguments encodes "(a, 0x00000002, null)".
func arguments(text string) (formats, values string) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
	if text == "" {
		return short(0), short(0)
	}
	list := strings.Split(text, ",")
	for _, v := range list {
		v = strings.TrimSpace(v)
		format := 0
		if digits, ok := strings.CutPrefix(v, "0x"); ok {
			b, err := hex.DecodeString(digits)
			if err != nil {
				panic(err)
			}
			format, v = 1, string(b)
		}
		formats += short(format)
		if v == "null" {
			values += "\xff\xff\xff\xff"
			continue
		}
		values += string(binary.BigEndian.AppendUint32(nil, uint32(len(v)))) + v
	}
	return short(len(list)) + formats, short(len(list)) + values
}
