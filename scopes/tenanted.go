package scopes

// Tenanted is the mixin for a model whose rows belong to a tenant. Embed it:
//
//	type Project struct {
//		scopes.Tenanted
//		ID   int64 `gorm:"primaryKey"`
//		Name string
//	}
//
// The column is account_id, and it leads the primary key. A model whose tenant column has another name,
// or is its own id, declares a field of type [TenantID] itself.
type Tenanted struct {
	AccountID TenantID `gorm:"primaryKey;autoIncrement:false;not null"`
}
