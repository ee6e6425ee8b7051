package scopes

import (
	"context"
	"fmt"
	"sync"
)

// Each calls work for each tenant with a context that carries the tenant, at most jobs at a time, and waits for all. The
// error at i is what work returned for the tenant at i: one that fails does not keep the others from being done. When ctx ends,
// no further one is begun, and theirs is its cause. It panics if jobs is below 1.
func Each(ctx context.Context, tenants []Tenant, jobs int, work func(ctx context.Context) error) []error {
	if jobs < 1 {
		panic(fmt.Sprintf("scopes: Each with %d jobs: it needs at least 1", jobs))
	}
	errs := make([]error, len(tenants))
	free := make(chan struct{}, jobs)
	var begun sync.WaitGroup
	for i, tenant := range tenants {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // also if both were ready
			errs[i] = context.Cause(ctx)
			continue
		}
		begun.Go(func() {
			defer func() { <-free }()
			errs[i] = work(WithTenant(ctx, tenant))
		})
	}
	begun.Wait()
	return errs
}
