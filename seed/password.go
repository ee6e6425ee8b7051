package seed

import (
	"sync"

	"tenanted/models"
)

// Password is the password of every seeded user.
const Password = "password"

// passwordHash returns the hash of Password. To hash it for each user would take 30 ms for each: a minute for two thousand. So
// all of them have one hash, made once, whose salt is fixed so that it is the same in each run. Both would be wrong for
// people's passwords; this one is public, and who changes it gets a salt of their own.
var passwordHash = sync.OnceValue(func() string { return models.HashPassword(Password, []byte("tenanted-seed-00")) })
