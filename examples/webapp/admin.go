package main

import (
	"net/http"
	"strconv"
)

// groups are those of the administrator's page, in its order.
var groups = []struct{ ID, Name string }{
	{groupLogin, "Need their user"},
	{groupTrouble, "In trouble"},
	{groupUnreadable, "Can't be read"},
	{groupWorking, "Working"},
}

// adminPage lists the connections of all users in one group.
type adminPage struct {
	Groups      []groupView
	Group       string
	Connections []connectionView
	After, Next string
}

type groupView struct {
	ID, Name, Count string
	Current         bool
}

// admin is the page of all users' connections. It has no token and no button: an
// administrator sees how connections are doing, and what to do is their users' to do.
func (a *application) admin(w http.ResponseWriter, r *http.Request) {
	if !userOf(r).Admin {
		a.fail(w, r, "not_found", nil)
		return
	}
	q := r.URL.Query()
	shown := adminPage{Group: q.Get("group"), After: q.Get("after")}
	if shown.Group == "" {
		shown.Group = groups[0].ID
	}
	for _, g := range groups {
		n, err := a.index.count(r.Context(), g.ID)
		if err != nil {
			a.fail(w, r, "store", err)
			return
		}
		count := strconv.Itoa(n)
		if n > mostCounted {
			count = strconv.Itoa(mostCounted) + "+"
		}
		shown.Groups = append(shown.Groups, groupView{g.ID, g.Name, count, g.ID == shown.Group})
	}
	entries, next, err := a.index.inGroup(r.Context(), shown.Group, shown.After)
	if err != nil {
		a.fail(w, r, "store", err)
		return
	}
	shown.Next = next
	for _, e := range entries {
		shown.Connections = append(shown.Connections, viewOf(e))
	}
	a.render(w, r, "admin", page{Title: "All connections", Data: shown})
}
