package models

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"tenanted/scopes"
)

// RequestKey remembers what a request has created, so that the same request, sent again, creates nothing. It is one user's, for
// [KeyAge].
type RequestKey struct {
	scopes.Tenanted
	UserID    int64  `gorm:"primaryKey;autoIncrement:false"` // 0: the command line
	Key       []byte `gorm:"primaryKey"`                     // its hash
	Content   []byte // a hash of what was to be created
	RowID     int64  // what was created
	CreatedAt time.Time

	Account Account `gorm:"foreignKey:AccountID;references:ID"`
}

const (
	// KeyAge is how long a request's key is remembered.
	KeyAge = 24 * time.Hour
	// oldKeys is how many keys of greater age are forgotten when one is made.
	oldKeys = 100
)

// ErrKeyUsed says that the key of a request was that of another one, which created something else.
var ErrKeyUsed = errors.New("the key of this request was used for another one")

var errSent = errors.New("the same request has been sent before")

// createOnce creates a row by a function that returns its id, in a transaction, unless a request of the same key did. An empty key is
// none. Of two requests at once the second waits for the first.
func createOnce(db *gorm.DB, key string, content any, create func(tx *gorm.DB) (int64, error)) (id int64, err error) {
	actor, _ := ActorOf(contextOf(db))
	text, err := json.Marshal(content)
	if err != nil {
		return 0, err
	}
	ofKey, ofContent := sha256.Sum256([]byte(key)), sha256.Sum256(fmt.Appendf(text, " %T", content))
	request := RequestKey{UserID: actor.UserID, Key: ofKey[:], Content: ofContent[:]}
	if key != "" {
		if id, err = request.created(db); !errors.Is(err, ErrNotFound) {
			return id, err
		}
	}
	err = db.Transaction(func(tx *gorm.DB) error {
		if id, err = create(tx); err != nil || key == "" {
			return err
		}
		request.RowID = id
		return request.keep(tx)
	})
	if errors.Is(err, errSent) { // the other request was faster
		return request.created(db)
	}
	return id, err
}

// created returns what the same request has created, or [ErrNotFound].
func (k RequestKey) created(db *gorm.DB) (id int64, err error) {
	var before RequestKey
	err = db.Where("user_id = ? AND key = ? AND created_at > now() - ?::interval", k.UserID, k.Key, KeyAge.String()).Take(&before).Error
	if err == nil && string(before.Content) != string(k.Content) {
		return 0, ErrKeyUsed
	}
	return before.RowID, err
}

// keep remembers the key, and forgets some old ones. It returns errSent if it is remembered already.
func (k RequestKey) keep(tx *gorm.DB) error {
	old := tx.Model(&RequestKey{}).Select("user_id, key").Where("created_at <= now() - ?::interval", KeyAge.String()).
		Limit(oldKeys).Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
	if err := tx.Where("(user_id, key) IN (?)", old).Delete(&RequestKey{}).Error; err != nil {
		return err
	}
	made := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&k)
	if made.Error == nil && made.RowsAffected == 0 {
		return errSent
	}
	return made.Error
}
