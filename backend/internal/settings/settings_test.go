package settings

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var ctx = context.Background()

// database makes one as the container's start does, from the very schema.
func database(t *testing.T) string {
	schema, err := os.ReadFile("../../../schema/appos.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a b?#%.db")
	execute(t, path, string(schema))
	return path
}

func execute(t *testing.T, path, statements string) {
	db, err := sql.Open("sqlite3", strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace("file:"+path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Store {
	store, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestLifeOfASetting(t *testing.T) {
	path := database(t)
	store := open(t, path)
	if list, err := store.List(ctx); err != nil || list == nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	first, err := store.Put(ctx, "theme", "dark")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339, first.UpdatedAt); err != nil {
		t.Error(err)
	}
	time.Sleep(2 * time.Millisecond)
	second, err := store.Put(ctx, "theme", "light; '\"\x00 ünïcode")
	if err != nil || second.UpdatedAt <= first.UpdatedAt {
		t.Error(first, second, err)
	}
	if _, err := store.Put(ctx, "a/b c", ""); err != nil {
		t.Error(err)
	}
	store.Close()

	store = open(t, path)
	list, err := store.List(ctx)
	if err != nil || len(list) != 2 || list[0].Key != "a/b c" || list[1] != second {
		t.Error(list, err)
	}
	if err := store.Delete(ctx, "theme"); err != nil {
		t.Error(err)
	}
	if err := store.Delete(ctx, "theme"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	store := open(t, database(t))
	for name, key := range map[string]string{
		"empty": "", "long": strings.Repeat("ä", 201), "control": "a\nb", "no text": "a\xff",
	} {
		if _, err := store.Put(ctx, key, "x"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := store.Put(ctx, "k", strings.Repeat("x", longestValue+1)); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := store.Put(ctx, strings.Repeat("ä", 200), strings.Repeat("x", longestValue)); err != nil {
		t.Error(err)
	}
}

func TestHowItIsOpened(t *testing.T) {
	store := open(t, database(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
	} {
		var got string
		if err := store.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, not %s (%v)", pragma, got, want, err)
		}
	}
}

func TestWritersTakeTurns(t *testing.T) {
	store := open(t, database(t))
	results := make(chan error)
	for range 20 {
		go func() {
			_, err := store.Put(ctx, "k", "v")
			results <- err
		}()
	}
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestNotADatabase(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	execute(t, empty, "CREATE TABLE other (x)")
	for path, reason := range map[string]string{
		filepath.Join(t.TempDir(), "missing.db"): "unable to open database file",
		empty:                                    "no such table: settings",
		"settings.go":                            "file is not a database",
	} {
		_, err := Open(path)
		if err == nil || !strings.Contains(err.Error(), reason) || !strings.Contains(err.Error(), "schema/appos.sql") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(empty), "missing.db")); err == nil {
		t.Error("a database was made")
	}
}
