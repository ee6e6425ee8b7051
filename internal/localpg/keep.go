//go:build unix

package localpg

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// How often Keep looks whether the server is alive, which is to read a small
// file, and how long it waits after a start that failed.
const (
	keepInterval = 250 * time.Millisecond
	keepPause    = 5 * time.Second
)

// Keep starts the server again whenever it has died, until ctx ends; end it
// before Close. report is called for each new start, with nil, and for each that
// failed, which is tried again.
func (s *Server) Keep(ctx context.Context, report func(error)) {
	for pause := keepInterval; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = keepInterval
		if readPostmaster(s.data()).alive() {
			continue
		}
		err := s.revive(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			pause = keepPause
		}
		report(err)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, dataName) }

// revive starts the server, unless another user was faster. It makes no data
// in place of some that are gone.
func (s *Server) revive(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	version, err := dataVersion(s.data())
	if err == nil && version == 0 {
		err = fmt.Errorf("the data of PostgreSQL in %s are gone: start the program again to begin anew", s.dir)
	}
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, s.options)
	if err != nil {
		return err
	}
	defer c.starting.close()
	return c.run(ctx)
}
