package talk

import "strings"

// Layer is what stops a mistake.
type Layer string

// The layers. The first four can be switched off in experiments.
const (
	Nothing   Layer = ""
	Scope     Layer = "scope"
	Session   Layer = "session"
	Keys      Layer = "composite keys"
	RLS       Layer = "row-level security"
	Role      Layer = "role"
	Placement Layer = "placement"
	Protocol  Layer = "protocol"
	Check     Layer = "check"
)

// Layers says which layers are on.
type Layers struct{ Scope, Session, Keys, RLS bool }

// AllLayers returns the layers as the product has them.
func AllLayers() Layers { return Layers{true, true, true, true} }

// String names the layers that are on.
func (l Layers) String() string {
	var names []string
	for _, each := range l.list() {
		if each.on {
			names = append(names, string(each.layer))
		}
	}
	if len(names) == 0 {
		return "no layer"
	}
	return strings.Join(names, ", ")
}

type layerState struct {
	layer Layer
	on    bool
}

func (l Layers) list() []layerState {
	return []layerState{{Scope, l.Scope}, {Session, l.Session}, {Keys, l.Keys}, {RLS, l.RLS}}
}

// Has reports whether a layer is on.
func (l Layers) Has(layer Layer) bool {
	for _, each := range l.list() {
		if each.layer == layer {
			return each.on
		}
	}
	return false
}

// first returns the first of some layers that is on.
func (l Layers) first(of ...Layer) Layer {
	for _, layer := range of {
		if l.Has(layer) {
			return layer
		}
	}
	return Nothing
}

// schema is the lab's schema whose tables have the keys and the policies that are on.
func (l Layers) schema() string {
	switch {
	case l.Keys && l.RLS:
		return fullSchema
	case l.Keys:
		return unguardedSchema
	case l.RLS:
		return keylessSchema
	default:
		return bareSchema
	}
}

// The lab's schemas of shared tables: as migrations make them, without policies, without composite keys, and without both.
const (
	fullSchema      = "full"
	unguardedSchema = "unguarded"
	keylessSchema   = "keyless"
	bareSchema      = "bare"
)
