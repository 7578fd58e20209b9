package keystore

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Files in the directory of an App.
const (
	keysFile   = "keys"
	markerFile = "where"
	lockFile   = "lock"
)

// session is one look at, or change of, the keys of an App. It holds the lock.
//
// A change may be cut short between any two of its writes. So the marker never names
// a key that the keyring or the file may not have: it learns of a key after they do,
// and forgets one before they do.
type session struct {
	app     App
	dir     *dir
	keyring *calls

	marked bool // there is a marker
	marker marker
	place  place // where the keys are, or the first one is to be
}

// load returns the keys, or none if the App never had any.
func (s *session) load() (keyList, error) {
	text, ok, err := s.dir.read(markerFile)
	if err != nil {
		return nil, err
	}
	if ok {
		if s.marker, err = decodeMarker(text); err != nil {
			return nil, fmt.Errorf("keystore: %s, which says where the keys of %s are, isn't usable: %w; delete it where the keyring can be reached, and it is made again", s.path(markerFile), s.app.Name, err)
		}
		s.marked, s.place = true, s.marker.place
	}
	text, found, err := s.find()
	if err != nil || !found {
		return nil, err
	}
	keys, err := decodeKeys(text)
	if err != nil {
		return nil, fmt.Errorf("keystore: %s isn't usable: %w; restore it%s", s.where(), err, s.anew(true))
	}
	if missing := s.marker.missing(keys); len(missing) > 0 {
		return nil, fmt.Errorf("keystore: %s lacks key %s, which was there, and only has %s: restore it%s",
			s.where(), strings.Join(missing, ", "), strings.Join(keys.fingerprints(), ", "), s.anew(false))
	}
	// What a change that was cut short, or the loss of the marker, has left to do.
	return keys, s.mark(keys)
}

// find returns the text of the keys, and decides where the first key is to be.
func (s *session) find() (text string, found bool, err error) {
	file, inTheFile, err := s.dir.read(keysFile)
	if err != nil {
		return "", false, err
	}
	switch {
	case s.marked && s.place == inFile:
		if !inTheFile {
			return "", false, fmt.Errorf("keystore: %s is gone, and the keys of %s with it: restore it%s", s.path(keysFile), s.app.Name, s.anew(false))
		}
		return file, true, nil
	case s.marked && inTheFile:
		return "", false, fmt.Errorf("keystore: %s says that the keys of %s are in the keyring, but %s is there too: move one of the two files away", s.path(markerFile), s.app.Name, s.path(keysFile))
	case s.marked:
		return s.findAgain()
	case inTheFile: // also if there is a keyring by now
		s.place = inFile
		return file, true, nil
	case s.app.File:
		s.place = inFile
		return "", false, nil
	}
	text, found, err = s.keyring.get()
	switch {
	case isNone(err):
		s.place = inFile
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("keystore: can't use the keyring of the operating system: %w: unlock it, or let the program keep its keys in a file, with App.File", err)
	}
	s.place = inKeyring
	return text, found, nil
}

// findAgain looks into the keyring that had the keys.
func (s *session) findAgain() (string, bool, error) {
	text, found, err := s.keyring.get()
	if err != nil {
		return "", false, fmt.Errorf("keystore: the keys of %s are in the keyring of the operating system, which can't be reached from here: %w: unlock it, or run the program in the desktop session in which it was first run%s",
			s.app.Name, err, s.anew(false))
	}
	if !found {
		return "", false, fmt.Errorf("keystore: %s is gone: restore it%s", s.where(), s.anew(false))
	}
	return text, true, nil
}

// save replaces the keys, and looks whether they are there then.
func (s *session) save(keys keyList) error {
	names := keys.fingerprints()
	stay := slices.DeleteFunc(slices.Clone(s.marker.names), func(n string) bool { return !slices.Contains(names, n) })
	if len(stay) < len(s.marker.names) {
		if err := s.write(marker{s.place, stay}); err != nil {
			return err
		}
	}
	text := keys.encode()
	var stored string
	var err error
	if s.place == inFile {
		if err = s.dir.write(keysFile, text); err == nil {
			stored, _, err = s.dir.read(keysFile)
		}
	} else {
		if err = s.keyring.set(text); err == nil {
			stored, _, err = s.keyring.get()
		}
		if err != nil {
			err = fmt.Errorf("keystore: can't keep the keys of %s in the keyring of the operating system: %w", s.app.Name, err)
		}
	}
	if err != nil {
		return err
	}
	// A keyring whose question was refused may say that it did as it was told.
	if got, err := decodeKeys(stored); err != nil || !slices.Equal(got.fingerprints(), names) {
		return fmt.Errorf("keystore: %s didn't take the keys: what it returns isn't what was written; unlock it, and try again", s.where())
	}
	return s.mark(keys)
}

// mark writes the marker, if it says anything else.
func (s *session) mark(keys keyList) error {
	m := marker{s.place, keys.fingerprints()}
	if s.marked && m.equal(s.marker) {
		return nil
	}
	return s.write(m)
}

func (s *session) write(m marker) error {
	if err := s.dir.write(markerFile, m.encode()); err != nil {
		return err
	}
	s.marked, s.marker = true, m
	return nil
}

func (s *session) path(name string) string { return filepath.Join(s.dir.path, name) }

func (s *session) where() string {
	if s.place == inFile {
		return s.path(keysFile)
	}
	return fmt.Sprintf("the entry of %q for %q in the keyring of the operating system", s.app.Name, entryUser)
}

// anew ends the message of an error for which there may be no other remedy. The
// marker has to go, and with it what isn't usable.
func (s *session) anew(unusable bool) string {
	what := s.path(markerFile)
	if unusable {
		what += " and " + s.where()
	}
	return fmt.Sprintf(", or, if the records may be lost and every user may log in again, begin anew by deleting %s", what)
}
