package grpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// header is the metadata that names the tenant. Whoever can set it chooses the tenant: let a proxy set it, or find the tenant
// by who has logged in.
const header = "x-tenant"

// tenantOf puts the tenant of a call into its context.
type tenantOf struct{ directory tenanthttp.Directory }

// unary is the interceptor of calls with one answer.
func (t tenantOf) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, err := t.resolve(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := next(ctx, req)
	return resp, statusOf(err)
}

// stream is the interceptor of the others.
func (t tenantOf) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, err := t.resolve(stream.Context())
	if err != nil {
		return err
	}
	return statusOf(next(srv, tenantStream{stream, ctx}))
}

// tenantStream is a stream with a context of its own.
type tenantStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s tenantStream) Context() context.Context { return s.ctx }

func (t tenantOf) resolve(ctx context.Context) (context.Context, error) {
	slugs := metadata.ValueFromIncomingContext(ctx, header)
	if len(slugs) != 1 {
		return nil, status.Errorf(codes.InvalidArgument, "%s must be there once", header)
	}
	tenant, err := t.directory.Lookup(ctx, slugs[0])
	if err != nil {
		return nil, statusOf(err)
	}
	return scopes.WithTenant(ctx, tenant), nil
}

// statusOf gives an error its gRPC code, by the HTTP status that it would have. What went wrong inside is not for strangers.
func statusOf(err error) error {
	if _, is := status.FromError(err); is {
		return err // nil too
	}
	switch tenanthttp.Status(err) {
	case 404:
		return status.Error(codes.NotFound, err.Error())
	case 503:
		return status.Error(codes.Unavailable, "unavailable")
	}
	return status.Error(codes.Internal, "internal error")
}
