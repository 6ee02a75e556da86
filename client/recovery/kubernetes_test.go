// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hawserdb/hawser/client/agent"
)

// apiServer is a fake one: it answers from its texts, and notes what changes things.
type apiServer struct {
	pods, replicasets, deployment string
	did                           []string
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, `{"message":"Unauthorized"}`, http.StatusUnauthorized)
		return
	}
	body, _ := io.ReadAll(r.Body)
	selected := r.URL.Query().Get("labelSelector") == "app=reader"
	switch path := r.Method + " " + r.URL.Path; {
	case path == "GET /api/v1/namespaces/crew/pods" && selected:
		fmt.Fprintf(w, `{"items":[%s]}`, a.pods)
	case path == "GET /apis/apps/v1/namespaces/crew/replicasets" && selected:
		fmt.Fprintf(w, `{"items":[%s]}`, a.replicasets)
	case path == "GET /apis/apps/v1/namespaces/crew/deployments/reader":
		fmt.Fprint(w, a.deployment)
	case strings.HasPrefix(path, "DELETE /api/v1/namespaces/crew/pods/"), path == "PATCH /apis/apps/v1/namespaces/crew/deployments/reader":
		a.did = append(a.did, strings.TrimSpace(r.Method+" "+r.Header.Get("Content-Type")+" "+r.URL.Path+" "+string(body)))
		fmt.Fprint(w, "{}")
	default:
		http.NotFound(w, r)
	}
}

func cluster(t *testing.T, a *apiServer) *Kubernetes {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return &Kubernetes{
		Server: server.URL, Namespace: "crew", Deployment: "reader", Selector: "app=reader",
		Token: func() (string, error) { return "secret\n", nil },
	}
}

func podOf(name, created, status string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q,"creationTimestamp":%q},"status":{"containerStatuses":[%s]}}`, name, created, status)
}

// Claim: what the status of the newest pod says is evidence of the same kinds as that
// of a process.
func TestKubernetes_Observe(t *testing.T) {
	const t0, t1 = "2026-01-01T10:00:00Z", "2026-01-01T10:01:00Z"
	terminated := func(code int, reason string) string {
		return fmt.Sprintf(`{"terminated":{"exitCode":%d,"reason":%q,"startedAt":%q,"finishedAt":%q}}`, code, reason, t0, t1)
	}
	for name, c := range map[string]struct {
		status string
		kind   Failure
		ready  bool
	}{
		"it runs":           {`{"name":"main","ready":true,"state":{"running":{}}}`, None, true},
		"it starts":         {`{"name":"main","ready":false,"state":{"waiting":{"reason":"ContainerCreating"}}}`, None, false},
		"it has crashed":    {`{"name":"main","restartCount":0,"state":` + terminated(1, "Error") + `}`, Crash, false},
		"it crashes":        {`{"name":"main","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":` + terminated(1, "Error") + `}`, FailedDeployment, false},
		"it has no memory":  {`{"name":"main","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":` + terminated(137, "OOMKilled") + `}`, ExhaustedResources, false},
		"no such image":     {`{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"not found"}}}`, FailedDeployment, false},
		"the state is bad":  {`{"name":"main","state":` + terminated(ExitCorruptState, "Error") + `}`, CorruptState, false},
		"it is done":        {`{"name":"main","state":` + terminated(0, "Completed") + `}`, None, false},
		"nothing is known":  {``, None, false},
		"another container": {`{"name":"proxy","state":` + terminated(1, "Error") + `},{"name":"main","ready":true}`, None, true},
	} {
		t.Run(name, func(t *testing.T) {
			k := cluster(t, &apiServer{pods: podOf("old", t0, `{"name":"main","state":`+terminated(9, "")+`}`) + "," + podOf("new", t1, c.status)})
			k.Container = "main"
			e, err := k.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if kind, evidence := Classify(e, Limits{}); kind != c.kind || e.Ready != c.ready {
				t.Errorf("%v (ready %t) from %q, want %v", kind, e.Ready, evidence, c.kind)
			}
		})
	}
	k := cluster(t, &apiServer{})
	if e, err := k.Observe(t.Context()); err != nil || e.Exit != nil {
		t.Errorf("without a pod: %+v, %v", e, err)
	}
	k.Token = nil
	if _, err := k.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without a token: %v", err)
	}
}

// Claim: each action is the request to the API server that does it.
func TestKubernetes_Act(t *testing.T) {
	const deployment = "/apis/apps/v1/namespaces/crew/deployments/reader"
	for action, want := range map[Action]string{
		Restart:  "DELETE application/json /api/v1/namespaces/crew/pods/new",
		HandOver: "DELETE application/json /api/v1/namespaces/crew/pods/new",
		Stop:     `PATCH application/strategic-merge-patch+json ` + deployment + ` {"spec":{"replicas":0}}`,
		Shed:     `PATCH application/strategic-merge-patch+json ` + deployment + ` {"spec":{"template":{"spec":{"containers":[{"env":[{"name":"HAWSER_SHED","value":"3"}],"name":"main"}]}}}}`,
		Redeploy: `PATCH application/json-patch+json ` + deployment + ` [{"op":"replace","path":"/spec/template","value":{"metadata":{"labels":{"app":"reader"}},"spec":{"image":"42"}}}]`,
	} {
		t.Run(action.String(), func(t *testing.T) {
			replica := func(revision, image string) string {
				return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"template":{"metadata":{"labels":{"app":"reader","pod-template-hash":"x"}},"spec":{"image":%q}}}}`, revisionLabel, revision, image)
			}
			a := &apiServer{
				pods:        podOf("old", "2026-01-01T10:00:00Z", "") + "," + podOf("new", "2026-01-01T11:00:00Z", ""),
				replicasets: replica("9", "41") + "," + replica("11", "43") + "," + replica("10", "42"),
				deployment:  `{"spec":{"template":{"spec":{"containers":[{"name":"proxy"},{"name":"main","env":[{"name":"OTHER","value":"1"},{"name":"HAWSER_SHED","value":"2"}]}]}}}}`,
			}
			k := cluster(t, a)
			k.Container = "main"
			if err := k.Act(t.Context(), action, agent.Decision{}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(a.did, []string{want}) {
				t.Errorf("did %q\nwant %q", a.did, want)
			}
		})
	}
	only := &apiServer{replicasets: `{}`}
	if err := cluster(t, only).Act(t.Context(), Redeploy, agent.Decision{}); err == nil || len(only.did) != 0 {
		t.Errorf("redeployed without an older revision: %v, %q", err, only.did)
	}
	var status containerStatus
	if err := json.Unmarshal([]byte(`{"state":{"waiting":null}}`), &status); err != nil || status.evidence().Exit != nil {
		t.Errorf("a status without a state: %+v, %v", status, err)
	}
}
