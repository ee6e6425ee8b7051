// Package grpc shows gRPC: two interceptors find the tenant of a call by its metadata, and every method works for that
// tenant. A streamed call keeps it to its end.
//
// The directory notespb is generated (with protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.0 in the PATH):
//
//	protoc --go_out=notespb --go_opt=paths=source_relative --go-grpc_out=notespb --go-grpc_opt=paths=source_relative notes.proto
package grpc

import (
	"context"

	"google.golang.org/grpc"

	"example.com/examples/databasesql"
	"example.com/examples/grpc/notespb"

	"tenanted/scopes/tenanthttp"
)

// newServer returns the server.
func newServer(notes databasesql.Notes, directory tenanthttp.Directory) *grpc.Server {
	tenant := tenantOf{directory}
	s := grpc.NewServer(grpc.ChainUnaryInterceptor(tenant.unary), grpc.ChainStreamInterceptor(tenant.stream))
	notespb.RegisterNotesServer(s, &server{notes: notes})
	return s
}

// server is the service. It knows nothing of tenants but the context.
type server struct {
	notespb.UnimplementedNotesServer
	notes databasesql.Notes
}

// Add implements notespb.NotesServer.
func (s *server) Add(ctx context.Context, note *notespb.Note) (*notespb.AddResponse, error) {
	return &notespb.AddResponse{}, s.notes.Add(ctx, note.GetText())
}

// List implements notespb.NotesServer.
func (s *server) List(_ *notespb.ListRequest, stream grpc.ServerStreamingServer[notespb.Note]) error {
	texts, err := s.notes.List(stream.Context())
	if err != nil {
		return err
	}
	for _, text := range texts {
		if err := stream.Send(&notespb.Note{Text: text}); err != nil {
			return err
		}
	}
	return nil
}
