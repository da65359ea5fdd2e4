package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// An Origin is a row of the table cors_origins.
type Origin struct {
	// Policy is the name of the policy, and Origin the entry of its allow_origins.
	Policy, Origin string
}

// createTable makes the table of origins. Names and origins compare by their bytes, in
// MySQL too; 255 bytes of an origin are more than a browser can send.
func (db *DB) createTable() string {
	text, extra := "TEXT", ""
	if _, ok := db.driver.(*mySQL); ok {
		text, extra = "VARCHAR(300)", " CHARACTER SET ascii COLLATE ascii_bin"
	}
	return "CREATE TABLE IF NOT EXISTS cors_origins (policy " + text + " NOT NULL, origin " + text + " NOT NULL, " +
		"created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (policy, origin))" + extra
}

// write runs statements in a transaction that may write, after the table is there.
func (db *DB) write(ctx context.Context, do func(tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, db.options.Timeout)
	defer cancel()
	pool, err := db.openPool(true)
	if err != nil {
		return db.plain(err)
	}
	defer func() { _ = pool.Close() }() // all is committed, or failed
	// Who may write rows need not be allowed to make tables.
	if _, err := pool.ExecContext(ctx, "SELECT 1 FROM cors_origins WHERE 1 = 0"); err != nil {
		if _, err := pool.ExecContext(ctx, db.createTable()); err != nil {
			return db.plain(err)
		}
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return db.plain(err)
	}
	if err := do(tx); err != nil {
		return db.plain(errors.Join(err, ignoreDone(tx.Rollback())))
	}
	return db.plain(tx.Commit())
}

// MakeTable makes the table of origins where it is missing.
func (db *DB) MakeTable(ctx context.Context) error {
	return db.write(ctx, func(*sql.Tx) error { return nil })
}

// Add adds rows, and returns how many were not there before.
func (db *DB) Add(ctx context.Context, rows []Origin) (added int, err error) {
	err = db.write(ctx, func(tx *sql.Tx) error {
		added = 0
		for _, row := range rows {
			n, err := db.execute(ctx, tx, "INSERT INTO cors_origins (policy, origin) "+
				"SELECT :policy, :origin FROM (SELECT 1 AS one) AS t WHERE NOT EXISTS "+
				"(SELECT 1 FROM cors_origins WHERE policy = :policy AND origin = :origin)", row)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	return added, err
}

// Remove removes rows, and returns how many there were. It makes no table.
func (db *DB) Remove(ctx context.Context, rows []Origin) (removed int, err error) {
	if err := db.List(ctx, "", func(string) error { return nil }); err != nil {
		return 0, err
	}
	err = db.write(ctx, func(tx *sql.Tx) error {
		removed = 0
		for _, row := range rows {
			n, err := db.execute(ctx, tx, "DELETE FROM cors_origins WHERE policy = :policy AND origin = :origin", row)
			if err != nil {
				return err
			}
			removed += n
		}
		return nil
	})
	return removed, err
}

func (db *DB) execute(ctx context.Context, tx *sql.Tx, query string, row Origin) (int, error) {
	text, args := db.bind(query, map[string]string{"policy": row.Policy, "origin": row.Origin})
	result, err := tx.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// List calls each for each origin of a policy, in order.
func (db *DB) List(ctx context.Context, policy string, each func(origin string) error) error {
	err := db.Read(ctx, func(ctx context.Context, tx *Tx) error {
		whatever := func([]string) error { return nil }
		return tx.Query(ctx, "SELECT origin FROM cors_origins WHERE policy = :policy ORDER BY origin",
			map[string]string{"policy": policy}, whatever, func(values []any) error {
				switch v := values[0].(type) {
				case string:
					return each(v)
				case []byte:
					return each(string(v))
				}
				return errors.New("an origin is no text")
			})
	})
	if err != nil {
		return fmt.Errorf("the table cors_origins, which adding an origin makes: %w", err)
	}
	return nil
}
