package effects

// harmlessCalls are the functions for large objects, which is what clients call
// by FunctionCall, and nextval.
var harmlessCalls = map[uint32]bool{
	715: true, 764: true, 765: true, 767: true, 952: true, 953: true, 954: true, 955: true, 956: true, 957: true, 958: true,
	964: true, 1004: true, 1574: true, 3170: true, 3171: true, 3172: true, 3457: true, 3458: true, 3459: true, 3460: true,
}

// OfCall returns the effects of a FunctionCall, which names its function by
// number. Any but a few may do what can't be seen, as DO may.
func OfCall(function uint32) Set {
	switch {
	case harmlessCalls[function]:
		return 0
	case function == 1575 || function == 2559: // currval and lastval
		return Sequence
	case function == 1599: // setseed
		return Seed
	}
	return Opaque
}
