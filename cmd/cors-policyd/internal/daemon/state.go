package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// partial ends the names of files of which it isn't known whether they are whole.
const partial = ".partial"

// clean removes what a save has left behind that was killed. Nothing depends on it.
func clean(name string) {
	folder := filepath.Dir(name)
	files, _ := os.ReadDir(folder) // of one that can't be read, saving will tell
	for _, file := range files {
		if n := file.Name(); strings.HasPrefix(n, filepath.Base(name)+".") && strings.HasSuffix(n, partial) {
			_ = os.Remove(filepath.Join(folder, n)) // the next time, then
		}
	}
}

// save writes a file in place of a former one, whole or not at all.
func save(name string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*"+partial)
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
