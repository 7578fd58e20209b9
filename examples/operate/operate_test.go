package operate

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/otelmetrics"
)

// series are the values of each label of each metric that a program exports.
type series map[string]map[string]map[string]bool

var (
	kinds = []tokensource.EventKind{tokensource.EventSaved, tokensource.EventNoRefreshToken, tokensource.EventRefreshed, tokensource.EventAdopted,
		tokensource.EventTakenOver, tokensource.EventUnsaved, tokensource.EventFailed, tokensource.EventRecovered, tokensource.EventLoginRequired, tokensource.EventDisconnected}
	states = []tokensource.State{tokensource.StateHealthy, tokensource.StateExpiring, tokensource.StateRefreshing, tokensource.StateUnsaved,
		tokensource.StateFailing, tokensource.StateLoginRequired, tokensource.StateUnreadable}
)

// exported runs a Manager with metrics, and returns what Prometheus would scrape.
func exported(t *testing.T) series {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo())
	require.NoError(t, err)
	metrics, err := otelmetrics.New(metric.NewMeterProvider(metric.WithReader(reader)), "finch")
	require.NoError(t, err)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	m := &tokensource.Manager{
		Config:  &oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: "https://finch.example/token", AuthStyle: oauth2.AuthStyleInParams}},
		Store:   storage.Encrypt(new(storage.Memory), keys),
		OnEvent: metrics.OnEvent,
	}
	ctx := t.Context()
	expired := &oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(-time.Hour)}
	for name, token := range map[string]*oauth2.Token{"healthy": {AccessToken: "a"}, "ended": expired} {
		if err := m.Save(ctx, name, token); err != nil {
			require.ErrorContains(t, err, "expired")
			token.Expiry = time.Now().Add(time.Minute)
			require.NoError(t, m.Save(ctx, name, token))
			require.NoError(t, m.Source(name).RequireLogin(ctx, token, ""))
		}
	}
	go metrics.Watch(ctx, m, time.Hour)
	var found series
	require.Eventually(t, func() bool {
		families, err := registry.Gather()
		require.NoError(t, err)
		found = make(series)
		for _, family := range families {
			found[family.GetName()] = make(map[string]map[string]bool)
			for _, one := range family.GetMetric() {
				for _, l := range one.GetLabel() {
					if found[family.GetName()][l.GetName()] == nil {
						found[family.GetName()][l.GetName()] = make(map[string]bool)
					}
					found[family.GetName()][l.GetName()][l.GetValue()] = true
				}
			}
		}
		return found["oauth2keep_connections"] != nil
	}, time.Minute, time.Millisecond)
	return found
}

// check reports what an expression asks for that isn't exported.
func (s series) check(t *testing.T, expr string) (used []string) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, expr)
	known := make(map[string]bool)
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		used = append(used, selector.Name)
		if !assert.Contains(t, s, selector.Name, expr) {
			return nil
		}
		for label := range s[selector.Name] {
			known[label] = true
		}
		for _, m := range selector.LabelMatchers {
			if m.Name == model.MetricNameLabel || m.Name == "provider" {
				continue
			}
			assert.Contains(t, s[selector.Name], m.Name, expr)
			s.checkValues(t, m, expr)
		}
		return nil
	})
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		if sum, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range sum.Grouping {
				assert.True(t, known[label], "%s: nothing has the label %s", expr, label)
			}
		}
		return nil
	})
	return used
}

// checkValues: every value that a label is compared with is one that it can have.
func (s series) checkValues(t *testing.T, m *labels.Matcher, expr string) {
	t.Helper()
	if m.Value == "" {
		return
	}
	possible := make(map[string]bool)
	switch m.Name {
	case "kind":
		for _, kind := range kinds {
			possible[string(kind)] = true
		}
	case "state":
		for _, state := range states {
			possible[string(state)] = true
		}
	case "reason":
		possible = s["oauth2keep_events_total"]["reason"] // those that are counted from zero on
	}
	for value := range strings.SplitSeq(m.Value, "|") {
		assert.True(t, possible[value], "%s: %s is never %s", expr, m.Name, value)
	}
}

// anchors are the headings of the runbook, as links name them.
func anchors(t *testing.T) map[string]bool {
	text, err := os.ReadFile("../../docs/operate.md")
	require.NoError(t, err)
	found := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		found[strings.ReplaceAll(regexp.MustCompile("[^a-z0-9_ -]").ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")] = true
	}
	return found
}

func TestAlerts(t *testing.T) {
	groups, errs := rulefmt.ParseFile("alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.NewTextHandler(io.Discard, nil)))
	require.Empty(t, errs)
	all, there := exported(t), anchors(t)
	n := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			n++
			assert.Contains(t, []string{"page", "ticket"}, rule.Labels["severity"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			page, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "#")
			assert.True(t, strings.HasSuffix(page, "/docs/operate.md") && there[anchor], "%s: %s#%s", rule.Alert, page, anchor)
			assert.NotEmpty(t, all.check(t, rule.Expr), rule.Alert)
		}
	}
	assert.Greater(t, n, 8)
}

func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	all := exported(t)
	used := make(map[string]bool)
	places := make(map[[2]int]string)
	variables := strings.NewReplacer("$__rate_interval", "5m", "$provider", ".*")
	for i, panel := range dashboard.Panels {
		assert.Equal(t, i+1, panel.ID)
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			expr := variables.Replace(target.Expr)
			assert.NotContains(t, expr, "$")
			for _, name := range all.check(t, expr) {
				used[name] = true
			}
		}
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				assert.Empty(t, places[at], "%s is on top of another panel", panel.Title)
				places[at] = panel.Title
				assert.Less(t, at[0], 24)
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(all)), append(slices.Sorted(maps.Keys(used)), "target_info"))
	for _, v := range dashboard.Templating.List {
		if query, ok := v.Query.(map[string]any); ok {
			assert.Equal(t, "label_values(oauth2keep_events_total, provider)", query["query"])
			assert.Contains(t, all["oauth2keep_events_total"], v.Name)
		}
	}
}

// An expression that asks for what isn't there is found.
func TestCheckFindsWhatIsNotExported(t *testing.T) {
	all := exported(t)
	for _, expr := range []string{
		`sum(oauth2keep_event_total)`,
		`sum by (reasons) (oauth2keep_events_total)`,
		`sum(oauth2keep_events_total{kind="lost"})`,
		`sum(oauth2keep_events_total{reason=~"store|stores"})`,
		`sum(oauth2keep_connections{kind="failed"})`,
		`sum(oauth2keep_connections{state="well"})`,
	} {
		probe := new(testing.T)
		all.check(probe, expr)
		assert.True(t, probe.Failed(), expr)
	}
}
