package models

import (
	"cmp"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// What a password costs to try, by OWASP's advice for argon2id: 19 MiB and some 30 ms. The hash says with what it was made, so
// that these can be raised: a hash made with others is replaced when its user signs in.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonSalt   = 16 // bytes
	argonKey    = 32 // bytes
)

// The lengths of passwords, in letters.
const (
	MinPassword = 8
	MaxPassword = 200
)

// hashing bounds how many passwords are hashed at once, and so the memory that this takes.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// HashPassword returns the hash of a password, in the form of the argon2 program. The salt must be new for each password: random
// bytes. Only the seed has a fixed one, for a password that everybody knows, so that it hashes once for all of its users.
func HashPassword(password string, salt []byte) string {
	return argonHash(password, salt, argonMemory, argonTime)
}

func argonHash(password string, salt []byte, memory, time uint32) string {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	key := argon2.IDKey([]byte(password), salt, time, memory, 1, argonKey)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, memory, time, encode(salt), encode(key))
}

// nobodysHash is the hash that is tried where there is no user, which takes as long as one of a user's.
var nobodysHash = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$", argon2.Version, argonMemory, argonTime,
	base64.RawStdEncoding.EncodeToString(make([]byte, argonSalt)))

// checkPassword reports whether a hash is the password's, and whether it is to be replaced by one of today's kind. A hash of an
// unknown kind is nobody's.
func checkPassword(hash, password string) (ok, outdated bool) {
	if strings.HasPrefix(hash, "pbkdf2_sha256$") {
		return checkDjango(hash, password), true
	}
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, false
	}
	var memory, time uint32
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &memory, &time); err != nil || time == 0 {
		return false, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, false
	}
	same := subtle.ConstantTimeCompare([]byte(hash), []byte(argonHash(password, salt, memory, time))) == 1
	return same, memory != argonMemory || time != argonTime
}

// checkDjango is for the hashes of the original's framework, which earlier versions of the seed made.
func checkDjango(hash, password string) bool {
	parts := strings.Split(hash, "$")
	if len(parts) != 4 {
		return false
	}
	iterations, err := strconv.Atoi(parts[1])
	if err != nil || iterations < 1 {
		return false
	}
	hashing <- struct{}{}
	defer func() { <-hashing }()
	key, err := pbkdf2.Key(sha256.New, password, []byte(parts[2]), iterations, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare([]byte(base64.StdEncoding.EncodeToString(key)), []byte(parts[3])) == 1
}

// NewPasswordHash returns the hash of a password to be set, or a [*InvalidError] for one that cannot be.
func NewPasswordHash(password string) (string, error) {
	if err := newPassword(password); err != nil {
		return "", err
	}
	return HashPassword(password, newSalt()), nil
}

// CheckPassword reports whether a hash is the password's, and whether it is to be replaced by one of today's kind. An empty hash
// is nobody's, which takes as long to find out.
func CheckPassword(hash, password string) (ok, outdated bool) {
	return checkPassword(cmp.Or(hash, nobodysHash), password)
}

// newPassword returns what is wrong with a password to be set, or nil.
func newPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return invalid(FieldPassword, fmt.Sprintf("A password has at least %d letters.", MinPassword))
	case n > MaxPassword:
		return invalid(FieldPassword, fmt.Sprintf("A password has at most %d letters.", MaxPassword))
	}
	return nil
}
