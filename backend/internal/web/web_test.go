package web

import (
	"math"
	"net/http/httptest"
	"testing"
)

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		host    string
		origins []string
		same    bool
	}{
		{"appos:9091", nil, true},
		{"appos:9091", []string{"http://appos:9091"}, true},
		{"appos:9091", []string{"https://APPOS:9091"}, true},
		{"[::1]:9091", []string{"http://[::1]:9091"}, true},
		{"appos:9091", []string{"http://appos"}, false},
		{"appos:9091", []string{"http://appos:9092"}, false},
		{"appos:9091", []string{"http://evil/appos:9091"}, false},
		{"appos:9091", []string{"http://appos:9091@evil"}, false},
		{"appos:9091", []string{"null"}, false},
		{"appos:9091", []string{""}, false},
		{"appos:9091", []string{"http://%"}, false},
		{"appos:9091", []string{"http://appos:9091", "http://evil"}, false},
		{"", []string{"null"}, false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		for _, origin := range c.origins {
			r.Header.Add("Origin", origin)
		}
		if SameOrigin(r) != c.same {
			t.Errorf("host %q, origins %q: not %v", c.host, c.origins, c.same)
		}
	}
}

func TestRemoteAddress(t *testing.T) {
	for _, c := range []struct{ peer, told, address string }{
		{"127.0.0.1:5000", "", "127.0.0.1"},
		{"127.0.0.1:5000", "203.0.113.7", "203.0.113.7"},
		{"[::1]:5000", "2001:db8::1", "2001:db8::1"},
		{"127.0.0.1:5000", "not an address\nforged line", "127.0.0.1"},
		{"198.51.100.1:5000", "203.0.113.7", "198.51.100.1"},
		{"@", "", "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Real-IP", c.told)
		if got := RemoteAddress(r); got != c.address {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestAnswerThatIsNoJSON(t *testing.T) {
	w := httptest.NewRecorder()
	Answer(w, 200, math.NaN())
	if w.Code != 500 || w.Body.String() != "{\"error\":\"the answer cannot be written as JSON\"}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
