package models

// Assignees returns the first active users by name, to whom a subtask can be given, with their ids and names only. more says that there
// are further ones.
func (m UserManager) Assignees(limit int) (users []User, more bool, err error) {
	err = m.db.Select("account_id, id, email, first_name, last_name").Where("deactivated_at IS NULL").
		Order("first_name, last_name, id").Limit(limit + 1).Find(&users).Error
	return users[:min(limit, len(users))], len(users) > limit, err
}
