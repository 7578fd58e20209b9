package storagetest

import (
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// oddNames are all different, and each is like another one to some file system,
// database or careless driver.
var oddNames = []string{
	"", " ", "  ", "\x00", "\x00\x00", "a", "A", "a ", "a.", " a", "a\x00", "a\x00b", "a\n", "a\t", "%61", "&#97;",
	"a/b", "a_b", "a\\b", "a:b", "a//b", "/a/b", "a/b/", "a/./b", "a/c/../b", "a%2Fb", "a%2fb", "a/b/c",
	".", "..", "/", "//", "\\", "./a", "../a", "../../etc/passwd", "../../../../../../../../etc/passwd", "/etc/passwd",
	`..\..\windows\win.ini`, `C:\name`, "C:", "c:name", `\\server\share`, "~", "~root", "-rf", "--", "$HOME", "`id`", "$(id)",
	"NUL", "nul", "CON", "con.txt", "COM1", "LPT1", "AUX", "desktop.ini", ".DS_Store", "name.tmp", "name.lock", "locks", "tmp",
	"%", "%s", "%d", "*", "?", "a*", "a?", "[a]", "{a}", "'", "''", `"`, "' OR '1'='1", "a'; DROP TABLE records; --", "_", "__",
	"\u00e9", "e\u0301", // é composed and decomposed: the same name on some file systems
	"\u212b", "\u00c5", "A\u030a", // ångström sign, Å, A and ring
	"ß", "ss", "SS", "ẞ", "ı", "i", "I", "İ", "\ufb01", "fi", "\u200b", "a\u200b", "\ufeffa", "a\u00ad",
	"Ж", "ж", "Ω", "ω", // a store may fold the case of these, and not that of ASCII
	"日本語", "日本語 ", "😀", "\U0010ffff", "עברית", "\u202ea", "ａ",
	"null", "nil", "undefined", "0", "00", "+0", "-0", "0.0", "1e3", "1000", "true", "[]", "{}",
	strings.Repeat("k", 255), strings.Repeat("k", 256), strings.Repeat("k", 4096), strings.Repeat("k", 4095) + "l",
	strings.Repeat("/k", 2048), strings.Repeat("../", 1365) + "k", strings.Repeat("é", 2048), strings.Repeat("\x00", 4096),
}

var nameChecks = []check{
	{"a name is any UTF-8 string", func(t *testing.T, s storage.Store) {
		// All at once, so that two which are the same to the store get into each
		// other's way.
		written := make(map[string]storage.Version)
		for _, name := range oddNames {
			wantAbsent(t, s, name)
			written[name] = put(t, s, name, "of "+name, "")
		}
		for _, name := range oddNames {
			want(t, s, name, "of "+name, written[name])
			written[name] = put(t, s, name, "new of "+name, written[name])
		}
		for i, name := range oddNames {
			if i%2 == 0 {
				remove(t, s, name, written[name])
			}
		}
		for i, name := range oddNames {
			if i%2 == 0 {
				wantAbsent(t, s, name)
			} else {
				want(t, s, name, "new of "+name, written[name])
			}
		}
	}},
}
