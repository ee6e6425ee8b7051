package seed

import (
	mathrand "math/rand"
	"strings"
	"sync"
	"time"

	"github.com/go-faker/faker/v4"
)

// vocabulary is what rows are composed from.
type vocabulary struct {
	words      []string // in lower case
	titles     []string // the same words, each with a capital letter
	sentences  []string
	firstNames []string
	lastNames  []string
}

// loadVocabulary draws the vocabulary when it is first needed, which takes some milliseconds. faker has one
// random source for the whole process: a goroutine that used it at that moment would change what is drawn.
var loadVocabulary = sync.OnceValue(drawVocabulary)

// drawVocabulary takes only from those functions of faker that depend on nothing but its random source
// (Name and the dates depend on more), and leaves faker as faker's own start-up does: seeded by the clock.
func drawVocabulary() *vocabulary {
	faker.SetRandomSource(faker.NewSafeSource(mathrand.NewSource(1)))
	defer func() {
		faker.SetRandomSource(faker.NewSafeSource(mathrand.NewSource(time.Now().UnixNano())))
	}()
	words := distinct(1000, func() string { return faker.Word() })
	return &vocabulary{
		words:      words,
		titles:     capitalized(words),
		sentences:  distinct(500, func() string { return faker.Sentence() }),
		firstNames: distinct(500, func() string { return faker.FirstName() }),
		lastNames:  distinct(500, func() string { return faker.LastName() }),
	}
}

// distinct calls draw so many times and returns the different values in the order of their first drawing.
func distinct(draws int, draw func() string) []string {
	var values []string
	seen := make(map[string]bool, draws)
	for range draws {
		value := draw()
		if !seen[value] {
			values = append(values, value)
		}
		seen[value] = true
	}
	return values
}

func capitalized(words []string) []string {
	titles := make([]string, len(words))
	for i, word := range words {
		titles[i] = strings.ToUpper(word[:1]) + word[1:]
	}
	return titles
}
