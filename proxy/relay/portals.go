package relay

import (
	"github.com/pgseal/pgseal/proxy/relay/effects"
	"github.com/pgseal/pgseal/proxy/relay/names"
)

// portals are those of the client on the server that is held, as far as their
// execution has to be heeded.
type portals struct {
	unnamed effects.Set           // of the statement of the unnamed portal
	plan    uint64                // which is the unnamed one of that number; 0: another
	others  effects.Set           // of those of all others
	ops     map[string][]names.Op // those whose execution does something to names
}

// bind remembers a portal whose execution does something to names.
func (p *portals) bind(portal []byte, ops []names.Op) {
	if len(ops) == 0 {
		if len(p.ops) > 0 {
			delete(p.ops, string(portal))
		}
		return
	}
	if p.ops == nil {
		p.ops = map[string][]names.Op{}
	}
	p.ops[string(portal)] = ops
}

// heed notes the effects of a statement that is bound.
func (p *portals) heed(noName bool, seen effects.Set) {
	if noName {
		p.unnamed = seen
	} else {
		p.others |= seen
	}
}

// effects are those of the unnamed portal, or of any other.
func (p *portals) effects(noName bool) effects.Set {
	if noName {
		return p.unnamed
	}
	return p.others
}

// clear notes that there are none any more.
func (p *portals) clear() {
	p.unnamed, p.others = 0, 0
	if len(p.ops) > 0 {
		p.ops = nil
	}
}
