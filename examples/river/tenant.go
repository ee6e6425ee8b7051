package river

import (
	"context"
	"encoding/json"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"tenanted/scopes"
	"tenanted/scopes/tenanthttp"
)

// tenantOf carries the tenant from whoever inserts a job to whoever works it, in the job's metadata. A job that is inserted
// without a tenant has none when it is worked: what it asks the tenants' pool is refused then.
type tenantOf struct {
	river.MiddlewareDefaults
	directory tenanthttp.Directory
}

var (
	_ rivertype.JobInsertMiddleware = (*tenantOf)(nil)
	_ rivertype.WorkerMiddleware    = (*tenantOf)(nil)
)

// key is the tenant's place in the metadata. The slug is kept, and not the whole tenant, since a tenant may have moved to
// another database, or been suspended, until the job is worked.
const key = "tenant"

// InsertMany implements rivertype.JobInsertMiddleware.
func (*tenantOf) InsertMany(ctx context.Context, jobs []*rivertype.JobInsertParams, next func(context.Context) ([]*rivertype.JobInsertResult, error)) ([]*rivertype.JobInsertResult, error) {
	tenant, err := scopes.FromContext(ctx)
	if err != nil {
		return next(ctx)
	}
	for _, job := range jobs {
		metadata := map[string]any{}
		if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
			return nil, err
		}
		metadata[key] = tenant.Slug
		if job.Metadata, err = json.Marshal(metadata); err != nil {
			return nil, err
		}
	}
	return next(ctx)
}

// Work implements rivertype.WorkerMiddleware.
func (t *tenantOf) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	var metadata struct{ Tenant string }
	if err := json.Unmarshal(job.Metadata, &metadata); err != nil {
		return err
	}
	if metadata.Tenant == "" {
		return next(ctx)
	}
	tenant, err := t.directory.Lookup(ctx, metadata.Tenant)
	if err != nil {
		return err // and River tries the job again later
	}
	return next(scopes.WithTenant(ctx, tenant))
}
