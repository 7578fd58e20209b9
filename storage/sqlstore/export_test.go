package sqlstore

// Reasons calls f with each row of the table.
func Reasons(f func(d Dialect, codes, text, advice string, refused bool)) {
	for _, r := range reasons {
		f(r.dialect, r.codes, r.text, r.advice, r.refused)
	}
}
