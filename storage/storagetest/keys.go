package storagetest

import (
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// oddKeys are all different, and each is like another one to some file system,
// database or careless driver.
var oddKeys = []string{
	"", " ", "  ", "\x00", "\x00\x00", "a", "A", "a ", "a.", " a", "a\x00", "a\x00b", "a\n", "a\t", "%61", "&#97;",
	"a/b", "a_b", "a\\b", "a:b", "a//b", "/a/b", "a/b/", "a/./b", "a/c/../b", "a%2Fb", "a%2fb", "a/b/c",
	".", "..", "/", "//", "\\", "./a", "../a", "../../etc/passwd", "../../../../../../../../etc/passwd", "/etc/passwd",
	`..\..\windows\win.ini`, `C:\key`, "C:", "c:key", `\\server\share`, "~", "~root", "-rf", "--", "$HOME", "`id`", "$(id)",
	"NUL", "nul", "CON", "con.txt", "COM1", "LPT1", "AUX", "desktop.ini", ".DS_Store", "key.tmp", "key.lock", "locks", "tmp",
	"%", "%s", "%d", "*", "?", "a*", "a?", "[a]", "{a}", "'", "''", `"`, "' OR '1'='1", "a'; DROP TABLE records; --", "_", "__",
	"\u00e9", "e\u0301", // é composed and decomposed: the same name on some file systems
	"\u212b", "\u00c5", "A\u030a", // ångström sign, Å, A and ring
	"ß", "ss", "SS", "ẞ", "ı", "i", "I", "İ", "\ufb01", "fi", "\u200b", "a\u200b", "\ufeffa", "a\u00ad",
	"日本語", "日本語 ", "😀", "\U0010ffff", "עברית", "\u202ea", "ａ",
	"null", "nil", "undefined", "0", "00", "+0", "-0", "0.0", "1e3", "1000", "true", "[]", "{}",
	strings.Repeat("k", 255), strings.Repeat("k", 256), strings.Repeat("k", 4096), strings.Repeat("k", 4095) + "l",
	strings.Repeat("/k", 2048), strings.Repeat("../", 1365) + "k", strings.Repeat("é", 2048), strings.Repeat("\x00", 4096),
}

var keyChecks = []check{
	{"a key is any UTF-8 string", func(t *testing.T, s storage.Store) {
		// All at once, so that two which are the same to the store get into each
		// other's way.
		written := make(map[string]storage.Version)
		for _, key := range oddKeys {
			wantAbsent(t, s, key)
			written[key] = put(t, s, key, "of "+key, "")
		}
		for _, key := range oddKeys {
			want(t, s, key, "of "+key, written[key])
			written[key] = put(t, s, key, "new of "+key, written[key])
		}
		for i, key := range oddKeys {
			if i%2 == 0 {
				remove(t, s, key, written[key])
			}
		}
		for i, key := range oddKeys {
			if i%2 == 0 {
				wantAbsent(t, s, key)
			} else {
				want(t, s, key, "new of "+key, written[key])
			}
		}
	}},
}
