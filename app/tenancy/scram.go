package tenancy

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"golang.org/x/text/secure/precis"
)

// scramIterations is PostgreSQL's default.
const scramIterations = 4096

// newVerifier returns what PostgreSQL stores for a password, so that the password itself need not be in a
// statement, which servers log.
func newVerifier(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	return scramVerifier(password, salt, scramIterations)
}

// scramVerifier returns the SCRAM-SHA-256 verifier of RFC 5803.
func scramVerifier(password string, salt []byte, iterations int) string {
	if normalized, err := precis.OpaqueString.String(password); err == nil { // as pgx does when it logs in
		password = normalized
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		panic(err) // only for a key that is too long for the hash
	}
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, salted)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(sign("Server Key")))
}
