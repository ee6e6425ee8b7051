package tenancy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"tenanted/app/config"
	"tenanted/models"
	"tenanted/scopes/session"
)

// Operators are who may look after the tenants on the web, and what they do there. Their accounts, sessions and links are in
// the control schema, where the runtime role has no right: all of it goes over the owner's connection. It may be used by several
// goroutines at once.
type Operators struct {
	db    *pgxpool.Pool
	cfg   config.Config
	setup *Setup // nil: they create and change no tenants
}

// Operators returns the operators of a directory. Setup makes the tenants that they create; nil: they create and change
// none. Without an owner it returns [ErrNoOwner].
func (d *Directory) Operators(setup *Setup) (*Operators, error) {
	if d.owner == nil {
		return nil, ErrNoOwner
	}
	return &Operators{d.owner, d.cfg, setup}, nil
}

// OperatorEntry is an operator in the list.
type OperatorEntry struct {
	Name     string
	Created  time.Time
	SignedIn *time.Time // the last sign-in of a session that has not ended; nil: there is none
}

var operatorName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{0,63}$`)

// ValidOperator reports whether an operator may be called so: as an account is, or an email address.
func ValidOperator(name string) bool { return operatorName.MatchString(name) }

// Add lets somebody sign in as an operator. A password that cannot be one is a *models.InvalidError.
func (o *Operators) Add(ctx context.Context, name, password string) error {
	hash, err := models.NewPasswordHash(password)
	if err != nil {
		return err
	}
	return o.change(ctx, "operators add", name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "insert into control.operators (name, password_hash) values ($1, $2) on conflict do nothing", name, hash)
		if err == nil && tag.RowsAffected() == 0 {
			err = fmt.Errorf("operator %q exists: choose another name, or give a new password with `operators password`", name)
		}
		return err
	})
}

// SetPassword gives an operator a new password, and ends the operator's sessions. The errors are those of [Operators.Add], and one
// if there is no such operator.
func (o *Operators) SetPassword(ctx context.Context, name, password string) error {
	hash, err := models.NewPasswordHash(password)
	if err != nil {
		return err
	}
	return o.change(ctx, "operators password", name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "update control.operators set password_hash = $2 where name = $1", name, hash)
		if err == nil && tag.RowsAffected() == 0 {
			err = unknownOperator(name)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "delete from control.operator_sessions where operator = $1", name)
		}
		return err
	})
}

// Remove ends an operator's sessions and lets them in no longer, also where they are signed in as a tenant's user. It returns an error
// if there is no such operator.
func (o *Operators) Remove(ctx context.Context, name string) error {
	return o.change(ctx, "operators remove", name, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "delete from control.operators where name = $1", name)
		if err == nil && tag.RowsAffected() == 0 {
			err = unknownOperator(name)
		}
		return err
	})
}

func unknownOperator(name string) error {
	return fmt.Errorf("there is no operator %q: `operators list` shows them", name)
}

// change changes an operator in a transaction, and writes it into the audit log with it.
func (o *Operators) change(ctx context.Context, action, name string, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, o.db, func(tx pgx.Tx) error {
		if err := work(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, logDone, o.by(ctx), action, nil, "", name)
		return err
	})
}

// by is who acts, for the audit log.
func (o *Operators) by(ctx context.Context) string { return operator(ctx, o.cfg) }

// List returns the operators by their names.
func (o *Operators) List(ctx context.Context) ([]OperatorEntry, error) {
	rows, _ := o.db.Query(ctx, `
		select o.name, o.created_at, (select max(s.created_at) from control.operator_sessions s where s.operator = o.name and s.expires_at > now())
		from control.operators o order by o.name collate "C"`)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OperatorEntry])
	if err != nil {
		return nil, fmt.Errorf("read the operators: %w", session.Explain(err))
	}
	return list, nil
}

// Exists reports whether an operator may still sign in.
func (o *Operators) Exists(ctx context.Context, name string) (exists bool, err error) {
	err = o.db.QueryRow(ctx, "select exists (select from control.operators where name = $1)", name).Scan(&exists)
	return exists, explained(err)
}

// How often a sign-in may be tried within attemptWindow, from the first of these attempts on.
const (
	attemptsByName    = 10
	attemptsByAddress = 30
	attemptWindow     = 15 * time.Minute
)

// SignIn returns the name of the operator with that name and password, and writes the sign-in into the audit log. The address is
// whom the attempt comes from, "" if that is not known. It returns models.ErrWrongPassword, after the same work whether there is
// such an operator or not, or a *models.ThrottledError.
func (o *Operators) SignIn(ctx context.Context, name, password, address string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	subjects := attemptSubjects(name, address)
	if err := o.countAttempt(ctx, subjects); err != nil {
		return "", err
	}
	hash, err := o.passwordHash(ctx, name)
	if err != nil {
		return "", err
	}
	ok, outdated := models.CheckPassword(hash, password)
	if !ok || hash == "" {
		return "", models.ErrWrongPassword
	}
	if outdated {
		if err := o.rehash(ctx, name, password); err != nil {
			return "", err
		}
	}
	_, err = o.db.Exec(ctx, "delete from control.operator_attempts where subject = any ($1)", subjects)
	if err == nil {
		_, err = o.db.Exec(ctx, logDone, name, "sign in", nil, "", address)
	}
	return name, explained(err)
}

// passwordHash returns "" if there is no such operator.
func (o *Operators) passwordHash(ctx context.Context, name string) (hash string, err error) {
	if !ValidOperator(name) { // which PostgreSQL may not take for a text
		return "", nil
	}
	err = o.db.QueryRow(ctx, "select password_hash from control.operators where name = $1", name).Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return hash, explained(err)
}

func (o *Operators) rehash(ctx context.Context, name, password string) error {
	hash, err := models.NewPasswordHash(password)
	if err != nil {
		return err
	}
	_, err = o.db.Exec(ctx, "update control.operators set password_hash = $2 where name = $1", name, hash)
	return explained(err)
}

// attemptSubjects are what an attempt is counted by: the name first.
func attemptSubjects(name, address string) (subjects [][]byte) {
	for kind, value := range []string{name, address} {
		if value != "" || kind == 0 {
			sum := sha256.Sum256([]byte{byte(kind)})
			sum = sha256.Sum256(append(sum[:], value...))
			subjects = append(subjects, sum[:])
		}
	}
	return subjects
}

// countAttempt counts an attempt before it is made, so that many at once are counted too. Rows are locked in one order.
func (o *Operators) countAttempt(ctx context.Context, subjects [][]byte) error {
	rows, _ := o.db.Query(ctx, `
		with forgotten as (delete from control.operator_attempts where until < now() - interval '1 hour' and subject <> all ($1))
		insert into control.operator_attempts as a (subject, attempts, until)
		select s, 1, now() + $2::interval from unnest($1::bytea[]) s order by s
		on conflict (subject) do update set
			attempts = case when a.until < now() then 1 else a.attempts + 1 end,
			until = case when a.until < now() then excluded.until else a.until end
		returning subject, attempts, extract(epoch from until - now())::float8`, subjects, attemptWindow)
	var subject []byte
	var attempts int
	var seconds, wait float64
	_, err := pgx.ForEachRow(rows, []any{&subject, &attempts, &seconds}, func() error {
		limit := attemptsByAddress
		if bytes.Equal(subject, subjects[0]) {
			limit = attemptsByName
		}
		if attempts > limit {
			wait = max(wait, seconds, 1)
		}
		return nil
	})
	if err == nil && wait > 0 {
		return &models.ThrottledError{Wait: time.Duration(wait * float64(time.Second))}
	}
	return explained(err)
}

// FindSession returns the operator whose session it is, by its token's hash, and until when. It returns models.ErrNotFound if it has
// ended.
func (o *Operators) FindSession(ctx context.Context, hash []byte) (name string, expires time.Time, err error) {
	err = o.db.QueryRow(ctx, "select operator, expires_at from control.operator_sessions where token_hash = $1 and expires_at > now()", hash).Scan(&name, &expires)
	return name, expires, explained(err)
}

// SaveSession keeps a session of an operator, and forgets those that have ended.
func (o *Operators) SaveSession(ctx context.Context, hash []byte, name string, expires time.Time) error {
	_, err := o.db.Exec(ctx, `
		with ended as (delete from control.operator_sessions where expires_at <= now())
		insert into control.operator_sessions (token_hash, operator, expires_at) values ($1, $2, $3)`, hash, name, expires)
	return explained(err)
}

// DeleteSession ends a session, if there is one.
func (o *Operators) DeleteSession(ctx context.Context, hash []byte) error {
	_, err := o.db.Exec(ctx, "delete from control.operator_sessions where token_hash = $1", hash)
	return explained(err)
}

// explained is an error of the owner's connection for the web: models.ErrNotFound for no row.
func explained(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return models.ErrNotFound
	}
	return fmt.Errorf("operators: %w", session.Explain(err))
}
