package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// noScripts turns JavaScript off.
func (b *tab) noScripts() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(b.t, err)
}

// TestBrowserReadsEveryPage looks at every page as a phone and a desktop show it, in light
// and dark.
func TestBrowserReadsEveryPage(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.open("/login")
	b.look("login")
	b.press("#login-carol")
	b.look("connections-none")
	for _, provider := range []string{"finch", "chart", "taxrock"} {
		b.connect(provider)
	}
	b.look("connections")
	b.press("#connect-finch")
	b.picture("consent")
	b.open("/connections/taxrock/carol")
	b.look("connection")
	b.press("#call")
	b.look("connection-called")
	b.press("#revoke")
	b.press("#call")
	b.look("connection-revoked")
	b.open("/connections")
	b.look("connections-revoked")
	b.open("/sandbox")
	b.look("sandbox")
	b.press("#try-store")
	b.look("store-down")
	b.open("/sandbox")
	b.press("#end-trouble")
	b.open("/nowhere")
	b.look("not-found")
	b.open("/connections")
	b.press("#embed-finch")
	b.look("embedded")
	app.seed(t, 2*pageSize)
	for _, group := range []string{"login", "trouble", "unreadable", "working"} {
		b.open("/admin?group=" + group)
		b.look("admin-" + group)
	}
	b.press("#next-page")
	b.look("admin-next")
}

// A name is as long as its owner's, and a page is no wider for it.
func TestBrowserWrapsLongNames(t *testing.T) {
	b := startForChromium(t).chromium(t)
	lengthen := void(chromedp.Evaluate[any](`document.querySelectorAll("#user, .choices strong").forEach((e) => (e.querySelector("bdi") ?? e).textContent = "a".repeat(200))`))
	b.open("/login")
	b.do(lengthen)
	b.look("login-long")
	b.press("#login-alice")
	account := strings.Repeat("a", 63)
	b.do(void(chromedp.SetValue(chromedp.CSS("#account-zendesk"), account)))
	b.press("#connect-zendesk")
	b.press("button[value=approve]")
	b.do(lengthen)
	b.look("connections-long")
	b.open("/connections/zendesk/alice/" + account)
	b.do(lengthen)
	b.look("connection-long")
}

// look checks the page at both widths.
func (b *tab) look(name string) {
	b.t.Helper()
	for _, width := range []int64{1280, 390} {
		b.width(width)
		for _, dark := range []bool{false, true} {
			b.dark(dark)
			b.picture(fmt.Sprintf("%s-%d%s", name, width, map[bool]string{true: "-dark"}[dark]))
			assert.Empty(b.t, b.violations(), "%s at %d pixels, dark: %v", name, width, dark)
		}
		overflow := value(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
		assert.LessOrEqual(b.t, overflow, 0, "%s at %d pixels scrolls sideways", name, width)
	}
	b.width(1280)
	b.dark(false)
}

// axeCore is what looks for faults.
var axeCore = sync.OnceValues(func() ([]byte, error) {
	return os.ReadFile(filepath.Join("testdata", "axe", "node_modules", "axe-core", "axe.min.js"))
})

// violation is a rule that a page breaks.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// violations has axe look for what keeps people from using the page.
func (b *tab) violations() []violation {
	b.t.Helper()
	source, err := axeCore()
	require.NoError(b.t, err, "axe isn't installed: npm ci --prefix testdata/axe")
	run := string(source) + `;
		axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
			.then((results) => JSON.stringify({violations: results.violations, passes: results.passes.length}))`
	report := value(b, chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	var found struct {
		Violations []violation
		Passes     int
	}
	require.NoError(b.t, json.Unmarshal([]byte(report), &found))
	require.Greater(b.t, found.Passes, 5)
	return found.Violations
}

func TestBrowserFindsFaults(t *testing.T) {
	b := startForChromium(t).chromium(t)
	b.open("/login")
	require.Empty(t, b.violations())
	b.do(void(chromedp.Evaluate[any](`{
		const main = document.getElementById("main");
		main.insertAdjacentHTML("beforeend", "<input><p>pale</p>");
		Object.assign(main.lastElementChild.style, {color: "#eee", background: "#fff"});
	}`)))
	var ids []string
	for _, v := range b.violations() {
		ids = append(ids, v.ID)
	}
	assert.Contains(t, ids, "label")
	assert.Contains(t, ids, "color-contrast")
}

// TestBrowserSeesEachFault presses every button of the page "Try what goes wrong".
func TestBrowserSeesEachFault(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			b.open("/sandbox")
			status := b.press("#try-" + f.ID)
			switch {
			case f.follows.problem != "":
				assert.Equal(t, f.follows.problem, b.attribute("#problem", "data-problem"), f.ID)
				assert.Equal(t, findProblem(f.follows.problem).Status, status, f.ID)
			case f.follows.reason != "":
				assert.Equal(t, string(f.follows.reason), b.attribute("#status", "data-reason"), f.ID)
				assert.Equal(t, http.StatusOK, status, f.ID)
			default:
				assert.Equal(t, notices[f.follows.notice], b.text("#notice"), f.ID)
			}
			b.picture("fault-" + f.ID)
			if *screenshots != "" {
				b.width(390)
				b.picture("fault-" + f.ID + "-390")
				b.width(1280)
			}
			if f.follows.reason == tokensource.ReasonRevoked {
				b.press("#reconnect")
				b.press("button[value=approve]")
				assert.Contains(t, b.url(), "notice=connected")
			}
		}
	}
}

// Somebody without a mouse gets everywhere, and sees where they are.
func TestBrowserIsUsedByKeyboard(t *testing.T) {
	b := startForChromium(t).chromium(t)
	b.login("alice")
	b.do(chromedp.KeyEvent("\t"))
	assert.True(t, value(b, chromedp.Evaluate[bool](`document.activeElement.matches("a.skip")`)), "the skip link is first")
	outlined := chromedp.Evaluate[bool](`{
		const style = getComputedStyle(document.activeElement);
		style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
	}`)
	for range 30 {
		b.do(chromedp.KeyEvent("\t"))
		if value(b, chromedp.Evaluate[string](`document.activeElement.id`)) == "connect-finch" {
			assert.True(t, value(b, outlined), "what has the focus is marked")
			b.leads(chromedp.KeyEvent("\r"))
			assert.True(t, b.has("button[value=approve]"))
			return
		}
	}
	assert.Fail(t, "the button can't be reached")
}
