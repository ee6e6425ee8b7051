package models

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// How often a sign-in may be tried within attemptWindow, from the first of these attempts on.
const (
	attemptsByEmail   = 10
	attemptsByAddress = 100 // of a company behind one address, perhaps
	attemptWindow     = 15 * time.Minute
)

// ErrWrongPassword says that there is no active user of that email and password, and not which of them is wrong.
var ErrWrongPassword = errors.New("the email or the password is wrong")

// ThrottledError says that a sign-in was tried too often, right or wrong.
type ThrottledError struct {
	Wait time.Duration // until it may be tried again
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts to sign in: try again in %v", e.Wait.Round(time.Second))
}

// SignInAttempt counts attempts to sign in by an email, or from an address. All processes share it.
type SignInAttempt struct {
	scopes.Tenanted
	Subject  []byte `gorm:"primaryKey"` // a hash of the email or the address
	Attempts int
	Until    time.Time

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
}

// SignIn returns the active user with that email and password. The address is whom the attempt comes from, "" if that is not
// known. It returns [ErrWrongPassword], after the same work whether there is such a user or not, or a [*ThrottledError].
// A hash of an older kind is replaced.
func (m UserManager) SignIn(email, password, address string) (User, error) {
	subjects := attemptSubjects(email, address)
	if err := m.countAttempt(subjects); err != nil {
		return User{}, err
	}
	if err := m.forgetOldAttempts(); err != nil {
		return User{}, err
	}
	u, err := m.ByEmail(email)
	if errors.Is(err, ErrNotFound) || err == nil && (u.DeactivatedAt != nil || u.PasswordHash == "") {
		u, err = User{PasswordHash: nobodysHash}, nil
	}
	if err != nil {
		return User{}, err
	}
	ok, outdated := checkPassword(u.PasswordHash, password)
	if !ok || u.ID == 0 {
		return User{}, ErrWrongPassword
	}
	if outdated {
		if err := m.update(u.ID, "password_hash", HashPassword(password, newSalt())); err != nil {
			return User{}, err
		}
	}
	return u, m.forgetAttempts(subjects)
}

// attemptSubjects are what an attempt is counted by: the email first.
func attemptSubjects(email, address string) (subjects [][]byte) {
	hash := func(kind, value string) []byte {
		sum := sha256.Sum256([]byte(kind + "\x00" + value))
		return sum[:]
	}
	subjects = append(subjects, hash("email", strings.ToLower(strings.TrimSpace(email))))
	if address != "" {
		subjects = append(subjects, hash("address", address))
	}
	return subjects
}

// countAttempt counts an attempt before it is made, so that many at once are counted too. Rows are locked in one order.
func (m UserManager) countAttempt(subjects [][]byte) error {
	account := AccountID(scopes.MustFromContext(m.db.Statement.Context))
	var values []string
	var args []any
	for _, s := range sortedSubjects(subjects) {
		values = append(values, "(?, ?::bytea, 1, now() + ?::interval)")
		args = append(args, account, s, attemptWindow.String())
	}
	rows, err := m.db.Raw(`
		INSERT INTO sign_in_attempts AS a (account_id, subject, attempts, until) VALUES `+strings.Join(values, ", ")+`
		ON CONFLICT (account_id, subject) DO UPDATE SET
			attempts = CASE WHEN a.until < now() THEN 1 ELSE a.attempts + 1 END,
			until = CASE WHEN a.until < now() THEN excluded.until ELSE a.until END
		RETURNING subject, attempts, extract(epoch FROM until - now())::float8`, args...).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	var wait float64
	for rows.Next() {
		var subject []byte
		var attempts int
		var seconds float64
		if err := rows.Scan(&subject, &attempts, &seconds); err != nil {
			return err
		}
		limit := attemptsByAddress
		if bytes.Equal(subject, subjects[0]) {
			limit = attemptsByEmail
		}
		if attempts > limit {
			wait = max(wait, seconds, 1)
		}
	}
	if wait > 0 {
		return errors.Join(&ThrottledError{time.Duration(wait * float64(time.Second))}, rows.Err())
	}
	return rows.Err()
}

// forgetOldAttempts waits for no other sign-in, of which each locks two rows.
func (m UserManager) forgetOldAttempts() error {
	old := m.db.Model(&SignInAttempt{}).Select("subject").Where("until < now()").Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
	return m.db.Where("subject IN (?)", old).Delete(&SignInAttempt{}).Error
}

func sortedSubjects(subjects [][]byte) [][]byte {
	if len(subjects) == 2 && bytes.Compare(subjects[0], subjects[1]) > 0 {
		return [][]byte{subjects[1], subjects[0]}
	}
	return subjects
}

// forgetAttempts takes back the attempts by an email, and this one from an address.
func (m UserManager) forgetAttempts(subjects [][]byte) error {
	if err := m.db.Where("subject = ?", subjects[0]).Delete(&SignInAttempt{}).Error; err != nil || len(subjects) == 1 {
		return err
	}
	return m.db.Model(&SignInAttempt{}).Where("subject = ? AND attempts > 0", subjects[1]).
		Update("attempts", gorm.Expr("attempts - 1")).Error
}
