package models

import (
	"strings"
	"time"

	"gorm.io/gorm"

	"tenanted/scopes"
)

// tokenPrefix begins each API token, so that a search for secrets in source code finds it.
const tokenPrefix = "tnd_"

// APIToken lets a program work as a user. It is known by its hash.
type APIToken struct {
	scopes.Tenanted
	ID        int64 `gorm:"primaryKey"`
	UserID    int64
	Name      string // what it is for
	TokenHash []byte `json:"-"`
	CreatedAt time.Time

	User User `gorm:"foreignKey:AccountID,UserID;references:AccountID,ID"`
}

// TableName implements GORM's Tabler.
func (APIToken) TableName() string { return "api_tokens" }

// APITokenManager finds, makes and revokes tokens. Make one with [Models.APITokens].
type APITokenManager struct{ db *gorm.DB }

// Find returns for whom a program works that presents a token, or [ErrNotFound]. It is one statement.
func (m APITokenManager) Find(secret string) (Actor, error) {
	row := m.db.Model(&APIToken{}).Select("users.id, users.role, users.email, users.first_name, users.last_name").
		Joins("JOIN users ON users.account_id = api_tokens.account_id AND users.id = api_tokens.user_id").
		Where("api_tokens.token_hash = ? AND users.deactivated_at IS NULL", secretHash(secret))
	var u User
	err := take(row, &u.ID, &u.Role, &u.Email, &u.FirstName, &u.LastName)
	a := u.Actor()
	a.Program = true
	return a, err
}

// Of returns a user's tokens, the newest first.
func (m APITokenManager) Of(user int64) (tokens []APIToken, err error) {
	if err := m.mayManage(user); err != nil {
		return nil, err
	}
	return tokens, m.db.Where("user_id = ?", user).Order("id DESC").Find(&tokens).Error
}

// Create makes a token of a user and returns it: it cannot be shown again. People make their own; admins make any user's.
func (m APITokenManager) Create(user int64, name string) (secret string, err error) {
	if err := m.mayManage(user); err != nil {
		return "", err
	}
	name = strings.TrimSpace(name)
	wrong := fields{}
	wrong.line(FieldName, "A name", name, maxPersonName)
	if err := wrong.err(); err != nil {
		return "", err
	}
	if _, err := UserManager(m).Get(user); err != nil {
		return "", err
	}
	secret, hash := newSecret(tokenPrefix)
	return secret, m.db.Create(&APIToken{UserID: user, Name: name, TokenHash: hash}).Error
}

// Revoke ends a user's token of that id. It returns [ErrNotFound] if there is none.
func (m APITokenManager) Revoke(user, id int64) error {
	if err := m.mayManage(user); err != nil {
		return err
	}
	return m.db.Scopes(scopes.RequireRows).Where("user_id = ? AND id = ?", user, id).Delete(&APIToken{}).Error
}

// mayManage allows people their own tokens, and admins those of others. Who acts for a user makes none: they would outlive that.
func (m APITokenManager) mayManage(user int64) error {
	if a, ok := ActorOf(m.db.Statement.Context); ok && a.UserID == user && !a.ForUser() {
		return nil
	}
	return allowed(m.db.Statement.Context, ManageUsers)
}
