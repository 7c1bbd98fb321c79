// Package settings keeps the rows of the table settings, which schema/appos.sql makes before the backend starts.
package settings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"unicode"
	"unicode/utf8"

	_ "github.com/mattn/go-sqlite3" // registers itself as "sqlite3"
)

// Setting is a row.
type Setting struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	UpdatedAt string `json:"updated_at"`
}

var (
	// ErrNotFound says that there is no row with this key.
	ErrNotFound = errors.New("no such setting")
	// ErrInvalid is the kind of every error that is the caller's.
	ErrInvalid = errors.New("not a setting")
)

const (
	longestKey   = 200   // characters, as the table says
	longestValue = 65536 // bytes
)

// Store is the open database.
type Store struct{ db *sql.DB }

// Open refuses a file that is not there, or that has no such table: both are made before, by the container's start.
func Open(path string) (*Store, error) {
	options := url.Values{
		"mode":          {"rw"},
		"_journal_mode": {"WAL"},
		// Who finds the database locked waits, for milliseconds.
		"_busy_timeout": {"5000"},
		"_foreign_keys": {"on"},
		"_txlock":       {"immediate"},
		// What was acknowledged is kept. NORMAL would do for a killed process, whose writes the kernel has; FULL also
		// for a machine that loses its power. Settings are written rarely, so the fsync of each costs nothing.
		"_synchronous": {"FULL"},
	}
	location := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}
	db, err := sql.Open("sqlite3", location.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	store := &Store{db}
	if err := store.Ping(context.Background()); err != nil {
		db.Close()
		return nil, fmt.Errorf("%w (schema/appos.sql makes the database at the container's start)", err)
	}
	return store, nil
}

// Close ends all connections; the last one tidies up the WAL.
func (s *Store) Close() error { return s.db.Close() }

// Ping reads from the table.
func (s *Store) Ping(ctx context.Context) error {
	var rows int
	return s.db.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT key, value, updated_at FROM settings LIMIT 1)`).Scan(&rows)
}

// List gives all settings by key.
func (s *Store) List(ctx context.Context) ([]Setting, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT key, value, updated_at FROM settings ORDER BY key`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	settings := []Setting{}
	for rows.Next() {
		var row Setting
		if err := rows.Scan(&row.Key, &row.Value, &row.UpdatedAt); err != nil {
			return nil, err
		}
		settings = append(settings, row)
	}
	return settings, rows.Err()
}

// Put creates or replaces a setting.
func (s *Store) Put(ctx context.Context, key, value string) (Setting, error) {
	if err := validate(key, value); err != nil {
		return Setting{}, err
	}
	// A transaction of its own, so that there is a COMMIT whose error is seen.
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return Setting{}, err
	}
	defer func() { _ = tx.Rollback() }() // Does nothing after Commit.
	row := Setting{Key: key, Value: value}
	err = tx.QueryRowContext(ctx, `
		INSERT INTO settings (key, value) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
		RETURNING updated_at`, key, value).Scan(&row.UpdatedAt)
	if err != nil {
		return Setting{}, err
	}
	return row, tx.Commit()
}

// Delete removes a setting.
func (s *Store) Delete(ctx context.Context, key string) error {
	result, err := s.db.ExecContext(ctx, `DELETE FROM settings WHERE key = ?`, key)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return ErrNotFound
	}
	return nil
}

func validate(key, value string) error {
	switch {
	case key == "" || utf8.RuneCountInString(key) > longestKey:
		return fmt.Errorf("%w: a key has 1 to %d characters", ErrInvalid, longestKey)
	case !utf8.ValidString(key) || containsControl(key):
		return fmt.Errorf("%w: a key has no control characters", ErrInvalid)
	case len(value) > longestValue:
		return fmt.Errorf("%w: a value has at most %d bytes", ErrInvalid, longestValue)
	}
	return nil
}

func containsControl(text string) bool {
	for _, r := range text {
		if unicode.IsControl(r) {
			return true
		}
	}
	return false
}
