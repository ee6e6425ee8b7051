package models

import (
	"crypto/rand"
	"crypto/sha256"
)

// newSecret returns a text that nobody guesses, for a link or a program, and what is stored of it.
func newSecret(prefix string) (secret string, hash []byte) {
	secret = prefix + rand.Text()
	return secret, secretHash(secret)
}

// secretHash is what is stored of a secret. Secrets are random, so nothing slower than SHA-256 is needed.
func secretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func newSalt() []byte {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	return salt
}
