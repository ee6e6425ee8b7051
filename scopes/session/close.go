package session

import (
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// closeTime bounds how long CloseAndWait waits for the server to close a connection that was idle.
const closeTime = time.Second

// CloseAndWait closes the connection and waits until the server has closed it too, so that a pool never has more connections
// on the server than it counts. A statement that was cancelled may take some seconds to end.
func (c *conn) CloseAndWait() {
	idle, err := c.pg.Hijack()
	if err != nil { // it is closed, or busy
		_ = c.Close()
		<-c.pg.CleanupDone()
		return
	}
	defer idle.Conn.Close()
	_ = idle.Conn.SetDeadline(time.Now().Add(closeTime))
	idle.Frontend.Send(&pgproto3.Terminate{})
	if idle.Frontend.Flush() == nil {
		_, _ = io.Copy(io.Discard, idle.Conn) // up to the server's end of it
	}
}
