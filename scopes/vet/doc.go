// Package vet finds, before a program runs, what scopes would refuse when it does: statements that no
// tenant can reach. Run it as a tool of go vet:
//
//	go build -o tenantvet ./scopes/vet/cmd/tenantvet && go vet -vettool=$PWD/tenantvet ./...
//
// # What is reported
//
//   - A statement on a tenanted model (one with a field of type scopes.TenantID, or with scopes.HasTenant), on raw SQL
//     or on Table("…"), by a *gorm.DB that never saw WithContext: one from a field, a package variable, gorm.Open or a function that
//     is given nothing to take a tenant from. Local variables, closures, the callback of Transaction, and the calls
//     within a package are followed. A subquery counts as a statement of its own, as it does for GORM.
//   - A context without a tenant where one is needed: context.Background, context.TODO or a test's Context(), also when
//     wrapped by context.WithTimeout and its like, that reaches WithContext, a method of gorm.G, or a statement on
//     the *sql.DB of scopes/registry; and a *gin.Context in its place, which is not the request's context.
//     scopes.WithTenant, scopes.AllTenants and scopes.FilterTenant end the search.
//   - A gorm.G of a tenanted model as a subquery: GORM builds it without a context.
//   - A goroutine whose statement is one of the above, or that uses a *gorm.DB bare which the function around it
//     uses with its context.
//   - A GORM model with a tenant column (flag -tenantvet.columns) that is not marked as one, in a program
//     that uses scopes. A struct counts as a model by its tags, gorm.Model or TableName, and next to tenanted models
//     also by its ID.
//
// # What is let pass
//
// False alarms cost more than a miss, since scopes still refuses the statement at run time. So whatever may have a
// tenant counts as having one: a parameter that nobody in the package hands a bare *gorm.DB, the result of a
// call into another package, an element of a map or slice, a field to which the package somewhere assigns a
// *gorm.DB with a context, one of two branches. Nothing is said of SQL that names no rows ("SELECT 1", DDL), nor
// of a function that is handed to an assertion such as require.Panics.
//
// # What cannot be seen
//
// One package is looked at at a time: not what another package's function does with the *gorm.DB or the context it is
// given. Nor what is behind an interface, reflection or an any; which tenant a context carries, or whether a
// context that is a parameter carries one at all; what raw SQL says. A clean run does not replace the other layers.
//
// # Exceptions
//
// A line, or the statement below the comment, is excepted by
//
//	//tenantvet:ignore why it is safe
//
// The reason is compulsory, and an exception that excepts nothing is reported.
package vet
