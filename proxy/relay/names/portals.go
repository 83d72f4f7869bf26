package names

import "github.com/pgseal/pgseal/proxy/relay/effects"

// Portals are the portals of the client on the server that is held, as far as their
// execution has to be heeded.
type Portals struct {
	unnamed effects.Set     // of the statement of the unnamed portal
	Plan    uint64          // which is the unnamed one of that number; 0: another
	others  effects.Set     // of those of all others
	ops     map[string][]Op // those whose execution does something to names
}

// Bind remembers a portal whose execution does something to names.
func (p *Portals) Bind(portal []byte, ops []Op) {
	if len(ops) == 0 {
		if len(p.ops) > 0 {
			delete(p.ops, string(portal))
		}
		return
	}
	if p.ops == nil {
		p.ops = map[string][]Op{}
	}
	p.ops[string(portal)] = ops
}

// NoteEffects notes the effects of a statement that is bound.
func (p *Portals) NoteEffects(noName bool, seen effects.Set) {
	if noName {
		p.unnamed = seen
	} else {
		p.others |= seen
	}
}

// Effects are those of the unnamed portal, or of any other.
func (p *Portals) Effects(noName bool) effects.Set {
	if noName {
		return p.unnamed
	}
	return p.others
}

// Clear notes that there are none left.
func (p *Portals) Clear() {
	p.unnamed, p.others = 0, 0
	if len(p.ops) > 0 {
		p.ops = nil
	}
}

// Ops returns what the execution of a portal does to names.
func (p *Portals) Ops(portal []byte) []Op { return p.ops[string(portal)] }
