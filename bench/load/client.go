package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answerTime bounds one request, so that a server that hangs ends a load.
const answerTime = 30 * time.Second

// client has one connection. It is not net/http's, which takes as much of the CPU that it shares with the server as a
// good server does.
type client struct {
	addr   string
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

// get sends a request and reads the answer to its end. It returns the size of the body.
func (c *client) get(r Request) (int64, error) {
	if err := c.connect(); err != nil {
		return 0, err
	}
	n, reuse, err := c.exchange(r)
	if err != nil || !reuse {
		c.close()
	}
	return n, err
}

func (c *client) connect() (err error) {
	if c.conn != nil {
		return nil
	}
	if c.conn, err = net.DialTimeout("tcp", c.addr, answerTime); err != nil {
		c.conn = nil
		return err
	}
	c.reader = bufio.NewReaderSize(c.conn, 32<<10)
	return nil
}

func (c *client) exchange(r Request) (n int64, reuse bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, false, err
	}
	c.buffer = fmt.Appendf(c.buffer[:0], "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tenanted-bench\r\nAccept: text/html\r\n", r.Path, r.Host)
	if r.Anew {
		c.buffer = append(c.buffer, "Cache-Control: no-cache\r\n"...)
	}
	c.buffer = append(c.buffer, "\r\n"...)
	if _, err := c.conn.Write(c.buffer); err != nil {
		return 0, false, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, false, err
	}
	defer answer.Body.Close()
	if n, err = io.Copy(io.Discard, answer.Body); err != nil {
		return n, false, err
	}
	if answer.StatusCode != http.StatusOK {
		return n, !answer.Close, fmt.Errorf("%s%s answered %s", r.Host, r.Path, answer.Status)
	}
	return n, !answer.Close, nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
