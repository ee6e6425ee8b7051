-- To which deployment a tenant's database belongs, and which database of which cluster it is. Another deployment must not
-- use it, nor may a copy of it be taken for the original.

-- additive: no
-- +goose Up
create table control.placement (
    deployment uuid    not null,
    made_in    text    not null,
    only_row   boolean not null default true check (only_row),
    primary key (only_row)
);

-- +goose Down
drop table control.placement;
