// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hawserdb/hawser"
	"github.com/hawserdb/hawser/client/agent"
)

// Kubernetes is a deployment that runs an agent, usually with one pod: a [Subject].
// It speaks to the API server by plain REST, and needs the rights to get, list and
// delete pods, to list replicasets, and to get and patch the deployment.
//
//	restart, hand over, roll back   the pod is deleted, and the deployment makes another
//	redeploy                        the pod template of the revision before this one
//	shed                            HAWSER_SHED counts up in the environment of the pod
//	quarantine                      no replicas
type Kubernetes struct {
	// Server is the address of the API server, such as "https://10.0.0.1". Required.
	Server string
	// Client speaks TLS with it; nil is http.DefaultClient.
	Client *http.Client
	// Token returns the bearer token of a request; nil sends none. Tokens of service
	// accounts change: read the file each time.
	Token func() (string, error)
	// Namespace, Deployment and Selector, the label selector of its pods, name it; Container
	// is the container that counts, empty is the first. All but that are required.
	Namespace, Deployment, Selector, Container string
	// RollBack makes an older version of the agent's state the newest; nil leaves that to
	// the program.
	RollBack func(ctx context.Context) error
}

// apiTime bounds one request, maxAPI what is read of an answer.
const (
	apiTime = 10 * time.Second
	maxAPI  = 8 << 20
	// revisionLabel is the annotation that numbers the revisions of a deployment.
	revisionLabel = "deployment.kubernetes.io/revision"
)

var _ Subject = (*Kubernetes)(nil)

// Changed implements [Subject]: it is asked now and then.
func (*Kubernetes) Changed() <-chan struct{} { return nil }

type pod struct {
	Metadata struct {
		Name              string    `json:"name"`
		CreationTimestamp time.Time `json:"creationTimestamp"`
		DeletionTimestamp string    `json:"deletionTimestamp"`
	} `json:"metadata"`
	Status struct {
		Phase             string            `json:"phase"`
		ContainerStatuses []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	Name         string         `json:"name"`
	Ready        bool           `json:"ready"`
	RestartCount int            `json:"restartCount"`
	State        containerState `json:"state"`
	LastState    containerState `json:"lastState"`
}

type containerState struct {
	Waiting *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"waiting"`
	Terminated *struct {
		ExitCode   int       `json:"exitCode"`
		Reason     string    `json:"reason"`
		Message    string    `json:"message"`
		StartedAt  time.Time `json:"startedAt"`
		FinishedAt time.Time `json:"finishedAt"`
	} `json:"terminated"`
}

// Observe implements [Subject].
func (k *Kubernetes) Observe(ctx context.Context) (Evidence, error) {
	pods, err := k.pods(ctx)
	if err != nil || len(pods) == 0 { // the deployment makes one
		return Evidence{}, err
	}
	for _, c := range pods[0].Status.ContainerStatuses {
		if c.Name == k.Container || k.Container == "" {
			return c.evidence(), nil
		}
	}
	return Evidence{}, nil
}

// evidence reads the status of a container. The kubelet starts it again by itself, and
// waits longer each time: one that is in that loop has failed as it did last.
func (c *containerStatus) evidence() Evidence {
	e := Evidence{Ready: c.Ready, FailedStarts: c.RestartCount + 1}
	ended := c.State.Terminated
	if w := c.State.Waiting; w != nil {
		switch {
		case strings.Contains(w.Reason, "ImagePull") || strings.Contains(w.Reason, "InvalidImage") || strings.HasPrefix(w.Reason, "CreateContainer"):
			e.Exit = &Exit{Code: ExitSchema, Tail: w.Reason + ": " + w.Message} // this build cannot be started at all
			return e
		case w.Reason == "CrashLoopBackOff":
			ended = c.LastState.Terminated
		}
	}
	if ended == nil {
		return e
	}
	e.Exit = &Exit{Code: ended.ExitCode, Tail: ended.Message, Uptime: ended.FinishedAt.Sub(ended.StartedAt)}
	if ended.Reason == "OOMKilled" {
		e.Exit.Tail = strings.TrimSpace(ended.Message + "\nout of memory: OOMKilled")
	}
	return e
}

// Act implements [Subject].
func (k *Kubernetes) Act(ctx context.Context, action Action, _ agent.Decision) error {
	switch action {
	case Stop:
		return k.patch(ctx, map[string]any{"spec": map[string]any{"replicas": 0}})
	case Redeploy:
		return k.undo(ctx)
	case Shed:
		return k.shed(ctx)
	case RollBack:
		if k.RollBack != nil {
			if err := k.RollBack(ctx); err != nil {
				return err
			}
		}
	case Restart, HandOver:
	}
	pods, err := k.pods(ctx)
	if err != nil || len(pods) == 0 {
		return err
	}
	return k.do(ctx, http.MethodDelete, k.path("/api/v1", "pods", pods[0].Metadata.Name), nil)
}

// pods returns those of the deployment that are not being deleted, the newest first.
func (k *Kubernetes) pods(ctx context.Context) ([]pod, error) {
	var list struct {
		Items []pod `json:"items"`
	}
	err := k.do(ctx, http.MethodGet, k.path("/api/v1", "pods", "")+"?labelSelector="+url.QueryEscape(k.Selector), &list)
	pods := slices.DeleteFunc(list.Items, func(p pod) bool { return p.Metadata.DeletionTimestamp != "" })
	slices.SortFunc(pods, func(a, b pod) int {
		return cmp.Or(b.Metadata.CreationTimestamp.Compare(a.Metadata.CreationTimestamp), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	return pods, err
}

// undo turns to the pod template of the revision before this one, as "kubectl rollout
// undo" does.
func (k *Kubernetes) undo(ctx context.Context) error {
	type revision struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	var list struct {
		Items []revision `json:"items"`
	}
	if err := k.do(ctx, http.MethodGet, k.path("/apis/apps/v1", "replicasets", "")+"?labelSelector="+url.QueryEscape(k.Selector), &list); err != nil {
		return err
	}
	number := func(r revision) int {
		n, _ := strconv.Atoi(r.Metadata.Annotations[revisionLabel]) // 0 for none
		return n
	}
	slices.SortFunc(list.Items, func(a, b revision) int { return cmp.Compare(number(b), number(a)) })
	if len(list.Items) < 2 {
		return &hawser.Error{Code: hawser.CodeRefused, Op: "redeploy", Key: k.Namespace + "/" + k.Deployment, Msg: "it has no revision before this one"}
	}
	template := list.Items[1].Spec.Template
	if metadata, ok := template["metadata"].(map[string]any); ok {
		if labels, ok := metadata["labels"].(map[string]any); ok {
			delete(labels, "pod-template-hash")
		}
	}
	return k.send(ctx, http.MethodPatch, k.path("/apis/apps/v1", "deployments", k.Deployment), "application/json-patch+json",
		[]map[string]any{{"op": "replace", "path": "/spec/template", "value": template}}, nil)
}

// shed counts HAWSER_SHED up, which makes the deployment replace its pods.
func (k *Kubernetes) shed(ctx context.Context) error {
	var d struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Name string `json:"name"`
						Env  []struct {
							Name  string `json:"name"`
							Value string `json:"value"`
						} `json:"env"`
					} `json:"containers"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	if err := k.do(ctx, http.MethodGet, k.path("/apis/apps/v1", "deployments", k.Deployment), &d); err != nil {
		return err
	}
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Name != k.Container && k.Container != "" {
			continue
		}
		shed := 0
		for _, e := range c.Env {
			if e.Name == EnvShed {
				shed, _ = strconv.Atoi(e.Value) // 0 for nonsense
			}
		}
		env := []map[string]any{{"name": EnvShed, "value": strconv.Itoa(shed + 1)}}
		containers := []map[string]any{{"name": c.Name, "env": env}}
		return k.patch(ctx, map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}})
	}
	return &hawser.Error{Code: hawser.CodeNotFound, Op: "shed", Key: k.Namespace + "/" + k.Deployment, Msg: fmt.Sprintf("it has no container %q", k.Container)}
}

// patch merges into the deployment, lists by their names.
func (k *Kubernetes) patch(ctx context.Context, change any) error {
	return k.send(ctx, http.MethodPatch, k.path("/apis/apps/v1", "deployments", k.Deployment), "application/strategic-merge-patch+json", change, nil)
}

func (k *Kubernetes) path(group, kind, name string) string {
	p := group + "/namespaces/" + url.PathEscape(k.Namespace) + "/" + kind
	if name != "" {
		p += "/" + url.PathEscape(name)
	}
	return p
}

func (k *Kubernetes) do(ctx context.Context, method, path string, into any) error {
	return k.send(ctx, method, path, "application/json", nil, into)
}

func (k *Kubernetes) send(ctx context.Context, method, path, contentType string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	var reader io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(k.Server, "/")+path, reader)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if k.Token != nil {
		token, err := k.Token()
		if err != nil {
			return fmt.Errorf("token of the API server: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	c := k.Client
	if c == nil {
		c = http.DefaultClient
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAPI))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", method, path, err)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, strings.TrimSpace(string(data)))
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
