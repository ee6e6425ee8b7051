package tenancy

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// AddDomain gives a tenant a host name of its own, at which it is served in addition to its slug's. Upper case and a trailing dot
// are accepted. It returns the tenant and the host name as it is stored; a host name that the tenant has already is no error. An
// invalid host name, one below the base domains, and another tenant's are errors.
func (c *Creator) AddDomain(ctx context.Context, tenant, domain string) (e Entry, stored string, err error) {
	if stored, err = c.setup.domain(domain); err != nil {
		return e, "", err
	}
	if e, err = c.Find(ctx, tenant); err != nil {
		return e, "", err
	}
	return e, stored, c.logged(ctx, "domains add", e.Tenant, stored, func() error {
		var owner string
		err := c.control.QueryRow(ctx, `
			with added as (insert into control.domains (domain, tenant_id) values ($1, $2) on conflict do nothing returning tenant_id)
			select slug from control.tenants
			where id = (select tenant_id from added union all select tenant_id from control.domains where domain = $1)`, stored, e.ID).Scan(&owner)
		if err == nil && owner != e.Slug {
			err = fmt.Errorf("domain %q is tenant %q's: remove it there first", stored, owner)
		}
		return err
	})
}

// RemoveDomain removes a tenant's host name. The errors are those of [Creator.Find], and one if the tenant does not have the host
// name.
func (c *Creator) RemoveDomain(ctx context.Context, tenant, domain string) (Entry, error) {
	e, err := c.Find(ctx, tenant)
	if err != nil {
		return e, err
	}
	stored, _, _ := tenanthttp.SplitHost(domain)
	return e, c.logged(ctx, "domains remove", e.Tenant, stored, func() error {
		tag, err := c.control.Exec(ctx, "delete from control.domains where domain = $1 and tenant_id = $2", stored, e.ID)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("tenant %q has no domain %q", e.Slug, domain)
		}
		return err
	})
}

// Domains returns a tenant's own host names in alphabetical order.
func (c *Creator) Domains(ctx context.Context, t scopes.Tenant) ([]string, error) {
	rows, _ := c.control.Query(ctx, `select domain from control.domains where tenant_id = $1 order by domain collate "C"`, t.ID)
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// domain validates a host name, and returns it as it is stored.
func (s *Setup) domain(written string) (string, error) {
	host, port, ok := tenanthttp.SplitHost(written)
	if !ok || port != "" || !strings.Contains(host, ".") || !tenanthttp.ValidName(host) {
		return "", fmt.Errorf("%q is not a host name of a tenant's own: use one such as app.example.com, without a port", written)
	}
	for _, base := range s.cfg.AllowedHosts {
		if host == base || strings.HasSuffix(host, "."+base) {
			return "", fmt.Errorf("%q is not a host name of a tenant's own: below %s tenants have their slugs, see ALLOWED_HOSTS", written, base)
		}
	}
	return host, nil
}
