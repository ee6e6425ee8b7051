// Package exceptions has findings that a comment excepts.
package exceptions

import (
	"gorm.io/gorm"
	"noun"
	"tenanted/scopes"
)

var db *gorm.DB

func excepted() {
	db.Find(&[]noun.Task{}) //tenantvet:ignore the owner's connection
	//tenantvet:ignore the owner's connection
	db.Find(&[]noun.Task{})
	//tenantvet:ignore the owner's connection, over several lines
	db.
		Where("x").
		Find(&[]noun.Task{})
	//tenantvet:ignore the head only
	if err := db.Find(&[]noun.Task{}).Error; err != nil {
		db.Create(&noun.Task{}) // want `Create of Task`
	}
	db.Create(&noun.Task{}) // want `Create of Task`
}

func unreasoned() {
	db.Find(&[]noun.Task{}) /* want `Find of Task` `tenantvet:ignore without a reason` */ //tenantvet:ignore
}

func stale() {
	db.Find(&[]noun.Country{}) /* want `tenantvet:ignore where nothing is reported: remove it` */ //tenantvet:ignore no longer needed
}

type legacy struct {
	ID int64 `gorm:"primaryKey"`
	//tenantvet:ignore a bank's account
	AccountID int64
}

var _ scopes.TenantID
