package cli

import (
	"fmt"
	"runtime/debug"
)

// version returns what the program was built from, if the binary records it: the module's version or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return defaultName + " (built without version)"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	text := defaultName + " " + info.Main.Version
	if revision := settings["vcs.revision"]; revision != "" {
		changed := ""
		if settings["vcs.modified"] == "true" {
			changed = ", with changes"
		}
		text += fmt.Sprintf(" (commit %s of %s%s)", revision, settings["vcs.time"], changed)
	}
	return text + " " + info.GoVersion
}
