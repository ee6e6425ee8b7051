package models

import (
	"context"
	"errors"
	"testing"

	"tenanted/scopes"
)

func tenantContext(id int64) context.Context {
	return scopes.WithTenant(context.Background(), scopes.Tenant{ID: scopes.TenantID(id)})
}

func TestActorIsNobodyElsewhere(t *testing.T) {
	t.Parallel()
	actor := Actor{UserID: 7, Role: Admin}
	ctx := WithActor(tenantContext(1), actor)
	if got, ok := ActorOf(ctx); !ok || got != actor {
		t.Fatalf("ActorOf in its tenant = %v, %t", got, ok)
	}
	for name, elsewhere := range map[string]context.Context{
		"another tenant": scopes.WithTenant(ctx, scopes.Tenant{ID: scopes.TenantID(2)}),
		"all tenants":    scopes.AllTenants(ctx, "test"),
		"no tenant":      context.Background(),
		"given without a tenant, used with one": scopes.WithTenant(WithActor(context.Background(), actor),
			scopes.Tenant{ID: scopes.TenantID(1)}),
		"given again without a tenant": scopes.WithTenant(
			WithActor(scopes.AllTenants(ctx, "test"), actor), scopes.Tenant{ID: scopes.TenantID(1)}),
	} {
		if got, ok := ActorOf(elsewhere); ok {
			t.Errorf("%s: ActorOf = %v, want nobody", name, got)
		}
		if err := allowed(elsewhere, EditWork); !errors.Is(err, ErrSignInRequired) {
			t.Errorf("%s: allowed = %v", name, err)
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	want := map[Role]map[Operation]bool{
		Member:  {EditWork: true, DeleteWork: true, DeleteProjects: false, ManageUsers: false},
		Admin:   {EditWork: true, DeleteWork: true, DeleteProjects: true, ManageUsers: true},
		"":      {EditWork: false, DeleteWork: false, DeleteProjects: false, ManageUsers: false},
		"owner": {EditWork: false, DeleteWork: false, DeleteProjects: false, ManageUsers: false},
	}
	for role, operations := range want {
		if len(operations) != len(permissions) {
			t.Fatalf("the test knows %d operations, the table has %d", len(operations), len(permissions))
		}
		for operation, may := range operations {
			err := allowed(WithActor(tenantContext(1), Actor{Role: role}), operation)
			_, refused := errors.AsType[*NotAllowedError](err)
			if refused == may {
				t.Errorf("%q, %s: allowed = %v", role, operation, err)
			}
		}
	}
	if Admin.May("nothing that is in the table") {
		t.Error("an operation outside the table is allowed")
	}
}
