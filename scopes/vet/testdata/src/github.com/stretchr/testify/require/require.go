// Package require has the declarations of the real one that the cases use.
package require

type TestingT interface {
	Errorf(format string, args ...interface{})
}

func Panics(t TestingT, f func(), args ...interface{})          {}
func NotPanics(t TestingT, f func(), args ...interface{})       {}
func Eventually(t TestingT, f func() bool, args ...interface{}) {}
