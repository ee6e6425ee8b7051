package seed

import "math/rand/v2"

// composer draws values and texts from one stream. Its buffer is why a text costs one allocation.
type composer struct {
	random     *rand.Rand
	vocabulary *vocabulary
	buffer     []byte
}

// count draws a number within r.
func (c *composer) count(r Range) int64 { return int64(c.between(r.Min, r.Max)) }

func (c *composer) between(low, high int) int { return low + c.random.IntN(high-low+1) }

func (c *composer) one(values []string) string { return values[c.random.IntN(len(values))] }

// company draws a name for an account: "Abbott Group", "Abbott-Beer", "Abbott, Beer and Crona".
func (c *composer) company() string {
	names := c.vocabulary.lastNames
	switch c.random.IntN(3) {
	case 0:
		return c.one(names) + " " + c.one([]string{"Group", "Inc", "LLC", "Ltd", "PLC", "and Sons"})
	case 1:
		return c.one(names) + "-" + c.one(names)
	default:
		return c.one(names) + ", " + c.one(names) + " and " + c.one(names)
	}
}

// name draws two to five words, the first with a capital letter: "Veritatis quasi architecto".
func (c *composer) name() string {
	c.buffer = append(c.buffer[:0], c.one(c.vocabulary.titles)...)
	c.more(c.between(1, 4), c.vocabulary.words)
	return string(c.buffer)
}

// paragraph draws two to six sentences.
func (c *composer) paragraph() string {
	c.buffer = append(c.buffer[:0], c.one(c.vocabulary.sentences)...)
	c.more(c.between(1, 5), c.vocabulary.sentences)
	return string(c.buffer)
}

// more appends n of the values to the buffer, each after a space.
func (c *composer) more(n int, values []string) {
	for range n {
		c.buffer = append(c.buffer, ' ')
		c.buffer = append(c.buffer, c.one(values)...)
	}
}
