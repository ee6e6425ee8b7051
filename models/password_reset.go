package models

import (
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// How long a link lets somebody choose a password.
const (
	resetLasts      = 24 * time.Hour
	invitationLasts = 7 * 24 * time.Hour
)

// PasswordReset lets whoever has its link choose a user's password, once. It is known by the hash of what the link has.
type PasswordReset struct {
	scopes.Tenanted
	TokenHash []byte `gorm:"primaryKey"`
	UserID    int64
	ExpiresAt time.Time

	User User `gorm:"foreignKey:AccountID,UserID;references:AccountID,ID"`
}

// NewReset returns the secret of a link by which a user chooses a new password once, within a day. Until then the old one holds. It
// is for admins.
func (m UserManager) NewReset(id int64) (User, string, error) {
	if err := allowed(m.db.Statement.Context, ManageUsers); err != nil {
		return User{}, "", err
	}
	u, err := m.Get(id)
	if err != nil {
		return User{}, "", err
	}
	if u.DeactivatedAt != nil {
		return User{}, "", invalid(FieldUser, u.Email+" is deactivated: activate the user first.")
	}
	secret, err := m.newReset(u.ID, resetLasts)
	return u, secret, err
}

func (m UserManager) newReset(user int64, lasts time.Duration) (secret string, err error) {
	if err := m.db.Where("expires_at <= now()").Delete(&PasswordReset{}).Error; err != nil {
		return "", err
	}
	secret, hash := newSecret("")
	return secret, m.db.Create(&PasswordReset{TokenHash: hash, UserID: user, ExpiresAt: time.Now().Add(lasts)}).Error
}

// ResetFor returns the user whose password a link's secret lets choose, or [ErrNotFound].
func (m UserManager) ResetFor(secret string) (u User, err error) {
	resets := m.db.Model(&PasswordReset{}).Select("user_id").Where("token_hash = ? AND expires_at > now()", secretHash(secret))
	return u, m.db.Where("id IN (?) AND deactivated_at IS NULL", resets).Take(&u).Error
}

// Reset sets the password of the user whom a link's secret is for. The user's links and sessions end. It returns [ErrNotFound] for a
// link that was used or has ended, and a [*InvalidError] for a password that cannot be one.
func (m UserManager) Reset(secret, password string) (u User, err error) {
	if err := newPassword(password); err != nil {
		return u, err
	}
	if u, err = m.ResetFor(secret); err != nil {
		return u, err
	}
	hash := HashPassword(password, newSalt()) // which takes long, for a transaction
	return u, m.db.Transaction(func(tx *gorm.DB) error {
		// Of two who use it at once, the second waits here for the first, and finds it gone. Whoever deactivates the user waits too.
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("id = ? AND deactivated_at IS NULL", u.ID).Take(&u).Error; err != nil {
			return err
		}
		err := tx.Scopes(scopes.RequireRows).Where("token_hash = ?", secretHash(secret)).Delete(&PasswordReset{}).Error
		if err != nil {
			return err
		}
		return UserManager{tx}.setPassword(u.ID, hash)
	})
}

// ChangePassword sets the actor's password, who knows the present one. The user's links and sessions end. It returns
// [ErrWrongPassword] or a [*InvalidError].
func (m UserManager) ChangePassword(old, password string) error {
	a, ok := ActorOf(m.db.Statement.Context)
	if !ok || a.ForUser() {
		return ErrSignInRequired
	}
	u, err := m.Get(a.UserID)
	if err != nil {
		return err
	}
	if err := m.countAttempt(attemptSubjects(u.Email, "")); err != nil {
		return err
	}
	if ok, _ := checkPassword(u.PasswordHash, old); !ok {
		return ErrWrongPassword
	}
	if err := newPassword(password); err != nil {
		return err
	}
	hash := HashPassword(password, newSalt())
	return m.db.Transaction(func(tx *gorm.DB) error { return UserManager{tx}.setPassword(u.ID, hash) })
}

// setPassword sets a password, and ends what the former one, or who knew it, may have begun.
func (m UserManager) setPassword(id int64, hash string) error {
	if err := m.update(id, "password_hash", hash); err != nil {
		return err
	}
	return m.endAccess(id, &Session{}, &PasswordReset{})
}

// endAccess removes a user's rows of some models.
func (m UserManager) endAccess(id int64, of ...any) error {
	for _, model := range of {
		if err := m.db.Where("user_id = ?", id).Delete(model).Error; err != nil {
			return err
		}
	}
	return nil
}
