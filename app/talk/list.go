package talk

import "slices"

// attacks are the experiments in which layers can be switched off.
func attacks() []attack {
	return []attack{
		forget, rawSQL, foreignKey, reachAround, rawJoin, sharedTable, twoContexts,
		foreignParent, createForAnother, changeTenant, updateAll, deleteAll, globalUnique,
		stacked, setConfig,
	}
}

// lessons are those without switches.
func lessons() []Experiment {
	return []Experiment{
		layersAlone, joinsCount, tenantColumn, moveTenant, mandatory,
		threePolicies, enableAndForce, superuserSeesAll, backups, views, checkFinds,
		leakingPool, behindPooler, roundTrips, rolePerTenant,
		countAll, twoDatabases, ownPlace, nextDoor, fleetResumes, manySchemas,
	}
}

// Experiments returns all experiments.
func Experiments() []Experiment {
	var all []Experiment
	for _, a := range attacks() {
		all = append(all, a.experiment())
	}
	return append(all, lessons()...)
}

// Find returns the experiment of that name; ok is false if there is none.
func Find(name string) (e Experiment, ok bool) {
	all := Experiments()
	i := slices.IndexFunc(all, func(e Experiment) bool { return e.Name == name })
	if i < 0 {
		return Experiment{}, false
	}
	return all[i], true
}
