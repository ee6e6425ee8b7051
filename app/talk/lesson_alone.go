package talk

import (
	"context"
	"slices"
	"strings"
)

// eachAlone is each layer with the others off. Row-level security has the session beside it, which tells it the tenant: without,
// it lets nobody see anything.
func eachAlone() []Layers {
	return []Layers{{Scope: true}, {Session: true}, {Keys: true}, {RLS: true, Session: true}}
}

// stopsAlone makes an attack with each layer alone, and names those that stop it.
func stopsAlone(ctx context.Context, attack func(context.Context, Layers) (Layer, error)) (stops []string, err error) {
	for _, on := range append(eachAlone(), Layers{}) {
		by, err := attack(ctx, on)
		if err != nil {
			return nil, err
		}
		if by != Nothing && !slices.Contains(stops, string(by)) {
			stops = append(stops, string(by))
		}
	}
	return stops, nil
}

var layersAlone = Experiment{
	Name: "layers-alone", Title: "Each layer alone", code: []any{eachAlone, stopsAlone},
	Claim: "No layer alone stops every mistake: raw SQL is left to row-level security, other tenants’ parents to the keys, mixed-up contexts to the session; the scope is what says where the mistake is.",
	run: func(ctx context.Context, t *trial) error {
		only := map[string]bool{}
		uncaught := map[Layer]int{}
		for _, a := range attacks() {
			stops, err := stopsAlone(ctx, func(ctx context.Context, on Layers) (Layer, error) {
				result, err := t.lab.Run(ctx, a.experiment(), on)
				return result.Stopped, err
			})
			if err != nil {
				return err
			}
			for _, layer := range []Layer{Scope, Session, Keys, RLS} {
				if !slices.Contains(stops, string(layer)) {
					uncaught[layer]++
				}
			}
			if len(stops) == 1 {
				only[stops[0]] = true
			}
			t.answer(a.title, "%s", named(Layer(strings.Join(stops, ", "))))
		}
		for _, layer := range []Layer{Scope, Session, Keys, RLS} {
			t.expect(uncaught[layer] > 0, "%s alone stops everything", layer)
		}
		t.expect(only[string(RLS)] && only[string(Keys)] && only[string(Session)], "only %v stop something alone", only)
		return nil
	},
}
