package seed

import (
	"testing"

	"github.com/go-faker/faker/v4"
	"github.com/stretchr/testify/require"
)

// Not parallel: it uses faker's one random source.
func TestVocabularyIsFixedAndFakerIsNot(t *testing.T) {
	words := func() (words [20]string) {
		for i := range words {
			words[i] = faker.Word()
		}
		return words
	}
	first := drawVocabulary()
	one := words()
	require.Equal(t, first, drawVocabulary())
	require.NotEqual(t, one, words(), "faker was left with the fixed source")
}
