package seed

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
)

// Password is the password of every seeded user.
const Password = "password"

const (
	// iterations is the number that Django 4.2, the original's framework, uses.
	iterations = 600_000
	// salt is fixed so that the hash, too, is the same in each run. That would be wrong for people's
	// passwords; this one is public.
	salt = "tenanted-seed"
)

// passwordHash returns the hash of Password in Django's form, "pbkdf2_sha256$iterations$salt$hash". It is
// computed once, since that takes a good tenth of a second. It fails in Go's FIPS-only mode, which refuses
// so short a password.
var passwordHash = sync.OnceValues(func() (string, error) {
	key, err := pbkdf2.Key(sha256.New, Password, []byte(salt), iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash the users' password: %w", err)
	}
	return fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", iterations, salt, base64.StdEncoding.EncodeToString(key)), nil
})
