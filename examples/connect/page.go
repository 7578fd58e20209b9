package main

import (
	"html/template"
	"log"
	"net/http"
)

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Connect</title>
<p>{{.Text}}</p>
<form method="post" action="/connect"><button>{{.Button}}</button></form>
`))

// page shows a text and the button that connects.
func page(w http.ResponseWriter, status int, text, button string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := pageTemplate.Execute(w, struct{ Text, Button string }{text, button}); err != nil {
		log.Print(err)
	}
}
