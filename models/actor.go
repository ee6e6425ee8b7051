package models

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tenanted/scopes"
)

// Role is what a user is in an account.
type Role string

// The roles, the lesser one first.
const (
	Member Role = "member"
	Admin  Role = "admin"
)

// Operation is something that a manager does for an [Actor].
type Operation string

// The operations. Their texts complete the sentence "a member may not …".
const (
	EditWork       Operation = "change projects, tasks and subtasks" // create, edit, mark done, assign
	DeleteWork     Operation = "delete tasks and subtasks"
	DeleteProjects Operation = "delete projects"
	ManageUsers    Operation = "manage users" // invite, deactivate, give roles
)

// permissions is the one place that says which roles may do an operation. What is not in it nobody may.
var permissions = map[Operation][]Role{
	EditWork:       {Member, Admin},
	DeleteWork:     {Member, Admin},
	DeleteProjects: {Admin},
	ManageUsers:    {Admin},
}

// May reports whether a role may do an operation.
func (r Role) May(o Operation) bool { return slices.Contains(permissions[o], r) }

// Actor is who acts in a tenant.
type Actor struct {
	UserID  int64 // 0: no user of the tenant, but who works on the command line for it
	Role    Role
	Name    string // for people
	Email   string
	Program bool // it came with an API token of the user

	Operator string // who is signed in as the user, for a while; empty: the user is
	Reason   string // the operator's
}

// ForUser reports whether somebody else acts for the user: a program, or an operator. They do the user's work, and nothing by which
// they or others would get in later: no passwords, no tokens, no users.
func (a Actor) ForUser() bool { return a.Program || a.Operator != "" }

// May reports whether the actor may do an operation.
func (a Actor) May(o Operation) bool { return a.Role.May(o) && (o != ManageUsers || !a.ForUser()) }

// ErrSignInRequired says that an operation needs an [Actor], and the context has none.
var ErrSignInRequired = errors.New("nobody is signed in")

// NotAllowedError says that the actor's role may not do an operation.
type NotAllowedError struct {
	Role      Role
	Operation Operation
}

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("role %q may not %s", e.Role, e.Operation)
}

// actorKey is the context's key for the actor, who is somebody in one tenant only.
type actorKey struct{}

type actorIn struct {
	tenant string // its key
	actor  Actor
}

// WithActor returns a context in which the managers work for an actor of the context's tenant. Without a tenant, or once
// the context has another one, the actor is nobody: ids of users mean nothing outside their account.
func WithActor(ctx context.Context, a Actor) context.Context {
	tenant, err := scopes.FromContext(ctx)
	if err != nil {
		return context.WithValue(ctx, actorKey{}, nil)
	}
	return context.WithValue(ctx, actorKey{}, actorIn{tenant.Key(), a})
}

// ActorOf returns who acts in the context's tenant. ok is false for nobody.
func ActorOf(ctx context.Context) (a Actor, ok bool) {
	in, ok := ctx.Value(actorKey{}).(actorIn)
	tenant, err := scopes.FromContext(ctx)
	if !ok || err != nil || tenant.Key() != in.tenant {
		return Actor{}, false
	}
	return in.actor, true
}

// allowed returns nil if the context's actor may do an operation. Else it returns [ErrSignInRequired] or a
// [*NotAllowedError].
func allowed(ctx context.Context, o Operation) error {
	a, ok := ActorOf(ctx)
	switch {
	case !ok:
		return ErrSignInRequired
	case !a.May(o):
		return &NotAllowedError{a.Role, o}
	}
	return nil
}
