package models

import "context"

// operatorKey is the context's key for the operator.
type operatorKey struct{}

// WithOperator returns a context in which an operator works: somebody who looks after the tenants, and belongs to none of them.
func WithOperator(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, operatorKey{}, name)
}

// OperatorOf returns the operator who works in a context, or "".
func OperatorOf(ctx context.Context) string {
	name, _ := ctx.Value(operatorKey{}).(string)
	return name
}

// SignInAs is an operator's wish to be signed in as a tenant's user.
type SignInAs struct {
	Operator string
	UserID   int64
	Reason   string
}
