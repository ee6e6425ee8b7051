package cli

import (
	"context"
	"strings"

	"tenanted/app/config"
	"tenanted/app/tenancy"
	"tenanted/app/web"
	"tenanted/models"
)

// operators are those of the tenancy, in the terms of the web.
type operators struct {
	*tenancy.Operators
	directory *tenancy.Directory
	cfg       config.Config
}

func newWebOperators(s *server, directory *tenancy.Directory) (*operators, error) {
	setup, err := s.setup(func(string) {})
	if err != nil {
		return nil, err
	}
	found, err := directory.Operators(setup)
	return &operators{found, directory, s.cfg}, err
}

// Find implements web.Operators.
func (o *operators) Find(ctx context.Context, slug string) (web.TenantEntry, error) {
	entry, err := o.directory.Find(ctx, slug)
	return web.TenantEntry{Tenant: entry.Tenant, State: entry.State}, err
}

// Log implements web.Operators.
func (o *operators) Log(ctx context.Context, slug string, limit int) ([]web.LogLine, error) {
	entries, err := o.Operators.Log(ctx, slug, limit)
	lines := make([]web.LogLine, len(entries))
	for i, e := range entries {
		detail := strings.TrimPrefix(e.Detail+": "+e.Error, ": ")
		lines[i] = web.LogLine{At: e.Began, Operator: e.Operator, Action: e.Action, Outcome: e.Outcome(), Detail: strings.TrimSuffix(detail, ": ")}
	}
	return lines, err
}

// Places implements web.Operators.
func (o *operators) Places() (p web.Places) {
	if o.cfg.Strategy == config.Mixed {
		p.Kinds = []string{web.PlaceShared, web.PlaceSchema, web.PlaceDatabase}
	}
	if o.cfg.Strategy == config.Mixed || o.cfg.Strategy == config.MultipleDb {
		for _, server := range o.cfg.Servers()[1:] {
			p.Servers = append(p.Servers, server.Name)
		}
	}
	return p
}

// Create implements web.Operators. Names of schemas and databases are the usual ones: who wants others uses the command.
func (o *operators) Create(ctx context.Context, n web.NewTenant) error {
	where := config.Choice{Server: n.Server}
	switch n.Place {
	case "", web.PlaceShared:
	case web.PlaceSchema:
		where.Schema = n.Slug
	case web.PlaceDatabase:
		where.Database = o.cfg.OwnDatabase(n.Slug)
	default:
		return &models.InvalidError{Fields: map[string]string{"place": "There is no such place."}}
	}
	_, err := o.Operators.Create(ctx, n.Slug, n.Name, where)
	return err
}
