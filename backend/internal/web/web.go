// Package web has what every HTTP handler here needs: answers in JSON, and who asks.
package web

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Answer sends body as JSON.
func Answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // A client that is gone needs no answer.
}

// Refuse sends an error as JSON.
func Refuse(w http.ResponseWriter, status int, reason string) {
	Answer(w, status, map[string]string{"error": reason})
}

// SameOrigin says whether the page that asks came from this very host and port. Programs that are no browser send no Origin.
func SameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	origin, err := url.Parse(origins[0])
	return err == nil && len(origins) == 1 && origin.Host != "" && strings.EqualFold(origin.Host, r.Host)
}

// RemoteAddress is the client's: the gateway's word for it, if the gateway, which is on this machine, is who asks.
func RemoteAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if told := net.ParseIP(r.Header.Get("X-Real-IP")); told != nil && net.ParseIP(host).IsLoopback() {
		return told.String()
	}
	return host
}
