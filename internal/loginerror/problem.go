package loginerror

// The lengths of foreign texts in errors, in bytes.
const (
	MaxCode = 100
	MaxText = 500
)

// problem is an error whose text is fit for a log, whatever its cause would say.
type problem struct {
	action error // one of the three, or an error that wraps one
	text   string
	cause  error // which leads to no secret; or nil

	// is finds what errors.Is may find besides, in an error that does. It is a
	// function because nothing that prints values can look into one.
	is func(target error) bool
}

// New returns an error of package pkce with that text, which wraps action, one of the three
// or an error that wraps one, and cause, unless it is nil. Text and cause lead to no secret.
func New(action error, text string, cause error) error {
	return &problem{action: action, text: text, cause: cause}
}

func (p *problem) Error() string { return "pkce: " + p.text }

func (p *problem) Unwrap() []error {
	if p.cause == nil {
		return []error{p.action}
	}
	return []error{p.action, p.cause}
}

func (p *problem) Is(target error) bool { return p.is != nil && p.is(target) }
