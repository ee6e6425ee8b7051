// Package views has no models of its own: its structs are what pages show.
package views

import "noun"

type row struct {
	ID        int64
	AccountID int64
	Name      string
}

func rows(tasks []noun.Task) (list []row) {
	for _, t := range tasks {
		list = append(list, row{ID: t.ID, AccountID: int64(t.AccountID), Name: t.Name})
	}
	return list
}
