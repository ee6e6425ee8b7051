//go:build !linux

package testpg

// memory is empty where no file system without a disk is at hand.
const memory = ""

func usable(string) bool { return false }
