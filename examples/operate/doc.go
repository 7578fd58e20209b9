// Package operate holds an example of alerts, alerts.yaml, and of a dashboard, dashboard.json,
// on the metrics of tokensource/otelmetrics. Its tests compare both with what that exports.
// docs/operate.md says what to do about each reason.
package operate
