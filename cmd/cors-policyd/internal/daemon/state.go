package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/proxy-wasm-cors/proxy-wasm-cors/cmd/cors-policyd/internal/policies"
	"github.com/proxy-wasm-cors/proxy-wasm-cors/config"
)

// A state is what a state file has: the last good document, and of which policies.
type state struct {
	Policies string `json:"policies"` // the hash of their template
	Document string `json:"document"`
}

// save writes the state in place of a former one, whole or not at all.
func save(name, hash string, d *policies.Document) error {
	text, err := json.Marshal(state{hash, string(d.Text)})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // nothing needs it
	}
	return err
}

// load reads the state. There is no document if there is no file. One of other policies is an
// error: what it lets in may be what was taken back.
func load(name, hash string) (*policies.Document, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s.Policies != hash {
		return nil, fmt.Errorf("%s is of other policies than the configuration's", name)
	}
	parsed, problems := config.ParseFetched(s.Document)
	if parsed == nil {
		return nil, fmt.Errorf("%s: %w", name, config.Errors(problems)[0])
	}
	d := policies.NewDocument([]byte(s.Document))
	d.Policies = len(parsed.Policies.All())
	return d, nil
}
