package daemon

import (
	"errors"
	"os"
	"path/filepath"
)

// save writes a file in place of a former one, whole or not at all.
func save(name string, text []byte) error {
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
