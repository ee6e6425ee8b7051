package models

import (
	"time"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// Session is a browser in which a user is signed in. It is known by the hash of what the browser's cookie has.
type Session struct {
	scopes.Tenanted
	TokenHash []byte `gorm:"primaryKey"`
	UserID    int64
	CreatedAt time.Time
	ExpiresAt time.Time
	Operator  string // who is signed in as the user; empty: the user is
	Reason    string // the operator's

	User User `gorm:"foreignKey:AccountID,UserID;references:AccountID,ID"`
}

// SessionManager finds and keeps sessions. Make one with [Models.Sessions].
type SessionManager struct{ db *gorm.DB }

// Find returns who is signed in by a session, and until when. It returns [ErrNotFound] if it has ended, or its user may not sign
// in. It is one statement.
func (m SessionManager) Find(hash []byte) (a Actor, expires time.Time, err error) {
	row := m.db.Model(&Session{}).Select("users.id, users.role, users.email, users.first_name, users.last_name, sessions.expires_at, sessions.operator, sessions.reason").
		Joins("JOIN users ON users.account_id = sessions.account_id AND users.id = sessions.user_id").
		Where("sessions.token_hash = ? AND sessions.expires_at > now() AND users.deactivated_at IS NULL", hash)
	var u User
	var operator, reason string
	err = take(row, &u.ID, &u.Role, &u.Email, &u.FirstName, &u.LastName, &expires, &operator, &reason)
	a = u.Actor()
	a.Operator, a.Reason = operator, reason
	return a, expires, err
}

// Save keeps a session of a user, and forgets those of the account that have ended.
func (m SessionManager) Save(hash []byte, user int64, expires time.Time) error {
	return m.SaveAs(hash, SignInAs{UserID: user}, expires)
}

// SaveAs is [SessionManager.Save] for an operator who is signed in as a user.
func (m SessionManager) SaveAs(hash []byte, as SignInAs, expires time.Time) error {
	if err := m.db.Where("expires_at <= now()").Delete(&Session{}).Error; err != nil {
		return err
	}
	return m.db.Create(&Session{TokenHash: hash, UserID: as.UserID, ExpiresAt: expires, Operator: as.Operator, Reason: as.Reason}).Error
}

// OfOperators returns the sessions in which operators are signed in as users of the account, with these, the newest first. It is for admins.
func (m SessionManager) OfOperators() (sessions []Session, err error) {
	if err := allowed(m.db.Statement.Context, ManageUsers); err != nil {
		return nil, err
	}
	return sessions, m.db.Preload("User").Where("operator <> '' AND expires_at > now()").Order("created_at DESC").Find(&sessions).Error
}

// Delete ends a session, if there is one.
func (m SessionManager) Delete(hash []byte) error {
	return m.db.Where("token_hash = ?", hash).Delete(&Session{}).Error
}

// take scans the one row of a query. It returns [ErrNotFound] if there is none.
func take(query *gorm.DB, into ...any) error {
	rows, err := query.Limit(1).Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return ErrNotFound
	}
	return rows.Scan(into...)
}
