package archive

// scanner finds the ends of rows in CSV as PostgreSQL writes it: a quote within a field is written twice, and a line ends
// with \n outside of quotes.
type scanner struct {
	quoted bool
	commas int // in the row so far
	fields int // that each row must have
	rows   int64
	bad    string // what is wrong with the text; empty: nothing so far
}

func newScanner(columns int) scanner { return scanner{fields: max(columns, 1)} }

// next returns the length of the text up to and with the end of the current row, or -1 if the row goes on behind it.
func (s *scanner) next(text []byte) int {
	for i, c := range text {
		switch {
		case c == '"':
			s.quoted = !s.quoted
		case s.quoted:
		case c == ',':
			s.commas++
		case c == '\r':
			s.bad = "a row has a carriage return outside of quotes"
		case c == '\n':
			if s.commas+1 != s.fields {
				s.bad = "a row has not as many fields as there are columns"
			}
			s.commas = 0
			s.rows++
			return i + 1
		}
	}
	return -1
}
