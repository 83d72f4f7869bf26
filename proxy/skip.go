package proxy

import (
	"github.com/pgseal/pgseal/internal/wire"
	"github.com/pgseal/pgseal/proxy/relay"
)

// skipper consumes what a client sent that shall not be run, because its
// statement was cancelled before a server had it. It is to such messages what
// PostgreSQL is to those behind an error (PostgreSQL documentation, "Message
// Flow"): a simple query is over with its own message, anything of the extended
// protocol with the next Sync. The zero value is at the beginning of an
// exchange. It allocates nothing and keeps no bytes.
type skipper struct {
	begun  bool
	toSync bool // the exchange ends with a Sync
	last   bool // it ends with the current message
	body   int  // bytes still to come of that
}

// skip takes bytes that the client sent and says how many of them to drop. Its
// verdict is proceed if the exchange is over, so that it is to be answered
// by ReadyForQuery; terminate if the client sends Terminate instead, in a
// message that is left; failed if the client breaks the protocol; and else
// needMore. After proceed the skipper is at the beginning of an exchange.
func (k *skipper) skip(b []byte) (st relay.Step, over bool) {
	for n := 0; ; {
		take := min(k.body, len(b)-n)
		k.body -= take
		n += take
		switch {
		case k.last && k.body == 0:
			*k = skipper{}
			return relay.Step{Used: n, Verdict: skipped}, true
		case len(b)-n < wire.HeaderSize: // also if the body goes on
			return relay.Step{Used: n, Verdict: relay.NeedMore}, false
		}
		typ, size := wire.ParseHeader(b[n:])
		if err := relay.CheckClientMessage(typ, size); err != nil {
			return relay.Step{Used: n, Verdict: relay.Failed, Err: err}, false
		}
		if typ == wire.Terminate {
			return relay.Step{Used: n, Verdict: relay.Terminated}, false
		}
		k.begin(typ)
		k.body = size
		n += wire.HeaderSize
	}
}

// begin notes a message by its type.
func (k *skipper) begin(typ byte) {
	if !k.begun {
		k.begun = true
		switch typ {
		case wire.Query, wire.FunctionCall, wire.Sync:
			k.last = true
		default:
			k.toSync = true
		}
		return
	}
	k.last = k.toSync && typ == wire.Sync
}
