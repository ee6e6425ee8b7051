package web

// flash is a message about what the last request did.
type flash struct {
	Text string
}
