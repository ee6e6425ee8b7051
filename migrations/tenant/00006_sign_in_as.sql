-- A session in which an operator is signed in as a user, for a while. It says so itself, so that every page can, and the account's admins
-- see who it is and why.

-- additive: yes
-- +goose Up
alter table sessions
    add column operator text not null default '', -- empty: it is the user
    add column reason   text not null default '',
    add constraint sessions_operator_reason check ((operator = '') = (reason = ''));

-- +goose Down
delete from sessions where operator <> '';
alter table sessions drop column reason, drop column operator;
