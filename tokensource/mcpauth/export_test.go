package mcpauth

// NameOf returns the connection's name.
func NameOf(h *Handler) string {
	if err := h.init(); err != nil {
		return err.Error()
	}
	return h.name
}
