package grpc

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"example.com/examples/databasesql"
	"example.com/examples/grpc/notespb"
	"example.com/examples/notesdb"

	"tenanted/scopes"
	"tenanted/scopes/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// dial serves s on a listener in memory and returns a client of it.
func dial(t *testing.T, s *grpc.Server) notespb.NotesClient {
	listener := bufconn.Listen(1 << 16)
	go s.Serve(listener)
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return notespb.NewNotesClient(conn)
}

func as(t *testing.T, slug string) context.Context {
	return metadata.AppendToOutgoingContext(pgtest.Context(t), header, slug)
}

func list(ctx context.Context, client notespb.NotesClient) (texts []string, err error) {
	stream, err := client.List(ctx, &notespb.ListRequest{})
	for err == nil {
		var note *notespb.Note
		if note, err = stream.Recv(); err == nil {
			texts = append(texts, note.GetText())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return texts, err
}

func TestServer(t *testing.T) {
	t.Parallel()
	notes := databasesql.Open(notesdb.New(t, notesdb.Schema).Runtime)
	defer notes.Close()
	client := dial(t, newServer(notes, notesdb.Tenants))
	want := map[string][]string{"acme": {"anvil"}, "umbrella": {"leaks"}}
	for slug, texts := range want {
		_, err := client.Add(as(t, slug), &notespb.Note{Text: texts[0]})
		require.NoError(t, err)
	}

	var calls sync.WaitGroup // at once, on one connection
	for range 25 {
		for slug, texts := range want {
			calls.Go(func() {
				got, err := list(as(t, slug), client)
				assert.NoError(t, err)
				assert.Equal(t, texts, got)
			})
		}
	}
	calls.Wait()
}

func TestCallsWithoutATenant(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	client := dial(t, newServer(notes, notesdb.Tenants))
	for want, ctx := range map[codes.Code]context.Context{
		codes.NotFound:        as(t, "nobody"),
		codes.InvalidArgument: metadata.AppendToOutgoingContext(as(t, "acme"), header, "umbrella"),
	} {
		db.RequireNothingSent(t, func() {
			_, err := client.Add(ctx, &notespb.Note{Text: "whose?"})
			require.Equal(t, want, status.Code(err), err)
			_, err = list(ctx, client)
			require.Equal(t, want, status.Code(err), err)
		})
	}
}

// A server that forgot the interceptors serves nobody.
func TestServerWithoutInterceptors(t *testing.T) {
	t.Parallel()
	db := notesdb.New(t, notesdb.Schema)
	notes := databasesql.Open(db.Runtime)
	defer notes.Close()
	forgetful := &server{notes: notes}
	s := grpc.NewServer()
	notespb.RegisterNotesServer(s, forgetful)
	client := dial(t, s)
	db.RequireNothingSent(t, func() {
		_, err := client.Add(as(t, "acme"), &notespb.Note{Text: "whose?"})
		require.Error(t, err)
		_, err = forgetful.Add(t.Context(), &notespb.Note{Text: "whose?"})
		require.ErrorAs(t, err, new(*scopes.TenantMissingError))
	})
}
