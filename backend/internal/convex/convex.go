// Package convex talks to Convex through its public HTTP API, https://docs.convex.dev/http-api.
package convex

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ErrNoFunction says that Convex answers but has no such function: nothing, or something else, is deployed.
var ErrNoFunction = errors.New("no such function is deployed")

// More than this is not an answer to anything that is asked here.
const longestAnswer = 4 << 20

// The status that Convex gives, besides 200, when a function failed:
// STATUS_CODE_UDF_FAILED in its own client, npm-packages/convex/src/browser/http_client.ts.
const statusFunctionFailed = 560

// Client keeps its connections.
type Client struct {
	url  string
	http *http.Client
}

// New makes a Client; it connects when it is first used.
func New(url string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // Convex is on this machine.
	transport.MaxIdleConnsPerHost = 8
	return &Client{url: url, http: &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

// Version is Convex's own; it answers only once it is ready.
func (c *Client) Version(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/version", nil)
	if err != nil {
		return "", err
	}
	status, body, err := c.do(request)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("/version answers %d", status)
	}
	return shorten(strings.TrimSpace(string(body))), nil
}

// Query runs a query function, such as activity:list.
func (c *Client) Query(ctx context.Context, path string, args any) (json.RawMessage, error) {
	return c.call(ctx, "/api/query", path, args)
}

// Mutation runs a mutation function, such as activity:add.
func (c *Client) Mutation(ctx context.Context, path string, args any) (json.RawMessage, error) {
	return c.call(ctx, "/api/mutation", path, args)
}

func (c *Client) call(ctx context.Context, endpoint, path string, args any) (json.RawMessage, error) {
	question, err := json.Marshal(map[string]any{"path": path, "args": args, "format": "json"})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+endpoint, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	status, body, err := c.do(request)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK && status != statusFunctionFailed {
		return nil, fmt.Errorf("%s answers %d", endpoint, status)
	}
	var answer struct {
		Status       string          `json:"status"`
		Value        json.RawMessage `json:"value"`
		ErrorMessage string          `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s answers no JSON", endpoint)
	}
	switch {
	case answer.Status == "success":
		return answer.Value, nil
	// There is no code for it, only this text: missing_or_internal_error in Convex's validation of a function's path.
	case strings.Contains(answer.ErrorMessage, "Could not find public function"):
		return nil, fmt.Errorf("%s: %w", path, ErrNoFunction)
	default:
		return nil, fmt.Errorf("%s: %s", path, shorten(answer.ErrorMessage))
	}
}

func (c *Client) do(request *http.Request) (status int, body []byte, err error) {
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	return response.StatusCode, body, err
}

// shorten keeps what a stranger sent readable in one line of a log.
func shorten(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
