// Package schema is what ent generates its client from.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"github.com/google/uuid"
)

// Note is a row of notes. The tenant's column is left out: its default fills it, and row-level security reads it.
type Note struct{ ent.Schema }

// Fields implements ent.Interface.
func (Note) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Default(uuid.New).Immutable(),
		field.String("text").NotEmpty(),
	}
}
