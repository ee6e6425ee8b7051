package models

import (
	"errors"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// User is a person who works in one account. The email is unique within the account only: a wider
// unique key would tell one tenant whom another one has.
type User struct {
	scopes.Tenanted
	ID            int64 `gorm:"primaryKey"`
	Email         string
	FirstName     string
	LastName      string
	PasswordHash  string `json:"-"` // empty: none was chosen yet
	DateJoined    time.Time
	Role          Role       `gorm:"default:member"`
	DeactivatedAt *time.Time // nil: the user may sign in

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
}

// Name is the user's whole name or, without one, the email.
func (u User) Name() string {
	if name := strings.TrimSpace(u.FirstName + " " + u.LastName); name != "" {
		return name
	}
	return u.Email
}

// Actor returns the user as who acts.
func (u User) Actor() Actor { return Actor{UserID: u.ID, Role: u.Role, Name: u.Name(), Email: u.Email} }

// ErrLastAdmin says that an account would be left without an admin.
var ErrLastAdmin = errors.New("an account needs an active admin, and this user is the only one")

// UserManager finds users, signs them in, and changes them. Make one with [Models.Users].
type UserManager struct{ db *gorm.DB }

// Get returns one user, or [ErrNotFound].
func (m UserManager) Get(id int64) (u User, err error) {
	return u, m.db.Where("id = ?", id).Take(&u).Error
}

// ByEmail returns the user with an email, as it is written or in lower case, or [ErrNotFound].
func (m UserManager) ByEmail(email string) (u User, err error) {
	email = strings.TrimSpace(email)
	if !utf8.ValidString(email) || strings.ContainsRune(email, 0) { // which PostgreSQL takes for no text
		return u, ErrNotFound
	}
	return u, m.db.Where("email IN ?", []string{email, strings.ToLower(email)}).Order(clause.OrderBy{Expression: clause.Expr{SQL: "email = ? DESC", Vars: []any{email}}}).
		Limit(1).Take(&u).Error
}

// Page returns a page of those users whose name or email contains a text, by email. The number may be LastPage. It returns a
// [*PageError] if there is no such page.
func (m UserManager) Page(search string, number, size int) (users []User, page Page, err error) {
	matching := func() *gorm.DB {
		query := m.db.Model(&User{})
		if search != "" {
			pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(search) + "%"
			query = query.Where("email ILIKE ? OR first_name || ' ' || last_name ILIKE ?", pattern, pattern)
		}
		return query
	}
	var total int64
	if err := counted(m.db, matching(), CountLimit).Scan(&total).Error; err != nil {
		return nil, page, err
	}
	if page, err = NewPage(number, size, total); err != nil {
		return nil, page, err
	}
	return users, page, page.window(matching(), "email, id").Find(&users).Error
}

// FirstOf returns the first active user of a role who has a password, or [ErrNotFound].
func (m UserManager) FirstOf(role Role) (u User, err error) {
	return u, m.db.Where("role = ? AND deactivated_at IS NULL AND password_hash <> ''", role).Order("id").Limit(1).Take(&u).Error
}

// NewUser is who is invited.
type NewUser struct {
	Email, FirstName, LastName string
	Role                       Role
}

// Invite adds a user, and returns the secret of the link by which they choose a password within a week. It is for admins. It returns a
// [*InvalidError] for what cannot be, also an email that another user of the account has.
func (m UserManager) Invite(n NewUser) (u User, secret string, err error) {
	if err := allowed(m.db.Statement.Context, ManageUsers); err != nil {
		return u, "", err
	}
	u = User{Email: strings.ToLower(strings.TrimSpace(n.Email)), FirstName: strings.TrimSpace(n.FirstName),
		LastName: strings.TrimSpace(n.LastName), Role: n.Role, DateJoined: time.Now()}
	if err := u.check(); err != nil {
		return u, "", err
	}
	err = m.db.Transaction(func(tx *gorm.DB) error {
		emails := clause.OnConflict{Columns: []clause.Column{{Name: "account_id"}, {Name: "email"}}, DoNothing: true}
		created := tx.Clauses(emails).Create(&u)
		if created.Error != nil {
			return created.Error
		}
		if created.RowsAffected == 0 {
			return invalid(FieldEmail, "There is a user with this email already.")
		}
		secret, err = UserManager{tx}.newReset(u.ID, invitationLasts)
		return err
	})
	return u, secret, err
}

// The most letters of a user's texts.
const (
	maxEmail      = 254
	maxPersonName = 100
)

func (u User) check() error {
	wrong := fields{}
	wrong.line(FieldEmail, "An email", u.Email, maxEmail)
	if address, err := mail.ParseAddress(u.Email); wrong[FieldEmail] == "" && (err != nil || address.Address != u.Email) {
		wrong[FieldEmail] = "This is not an email address, as ann@example.com is."
	}
	if u.Role != Member && u.Role != Admin {
		wrong[FieldRole] = notARole
	}
	wrong.line(FieldFirstName, "A first name", u.FirstName, maxPersonName)
	wrong.line(FieldLastName, "A last name", u.LastName, maxPersonName)
	return wrong.err()
}

const notARole = "A user is a member or an admin."

// SetRole gives a user a role, from the next request on. It is for admins. It returns [ErrNotFound], [ErrLastAdmin], or a
// [*InvalidError] for what is no role.
func (m UserManager) SetRole(id int64, role Role) error {
	if role != Member && role != Admin {
		return invalid(FieldRole, notARole)
	}
	return m.change(id, role == Admin, func(in UserManager) error { return in.update(id, "role", role) })
}

// SetActive lets a user sign in, or no longer: then the user's sessions, links and tokens end. It is for admins. It returns
// [ErrNotFound] or [ErrLastAdmin].
func (m UserManager) SetActive(id int64, active bool) error {
	return m.change(id, active, func(in UserManager) error {
		if active {
			return in.update(id, "deactivated_at", nil)
		}
		if err := in.update(id, "deactivated_at", time.Now()); err != nil {
			return err
		}
		return in.endAccess(id, &Session{}, &PasswordReset{}, &APIToken{})
	})
}

// change works on a user in a transaction. One who does not stay an admin must not be the last one; so that two admins do not remove
// each other, one change of an account's users waits for another.
func (m UserManager) change(id int64, staysAdmin bool, work func(UserManager) error) error {
	if err := allowed(m.db.Statement.Context, ManageUsers); err != nil {
		return err
	}
	return m.db.Transaction(func(tx *gorm.DB) error {
		in := UserManager{tx}
		if err := tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Take(&Account{}).Error; err != nil {
			return err
		}
		u, err := in.Get(id)
		if err != nil {
			return err
		}
		if u.Role == Admin && u.DeactivatedAt == nil && !staysAdmin {
			var others int64
			err := tx.Model(&User{}).Where("role = ? AND deactivated_at IS NULL AND id <> ?", Admin, id).Count(&others).Error
			if err != nil {
				return err
			}
			if others == 0 {
				return ErrLastAdmin
			}
		}
		return work(in)
	})
}

func (m UserManager) update(id int64, column string, value any) error {
	return m.db.Model(&User{}).Scopes(scopes.RequireRows).Where("id = ?", id).Update(column, value).Error
}
