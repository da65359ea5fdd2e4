package filter

import "encoding/binary"

// Envoy tries each configuration in a VM that it throws away, and refuses what isn't
// taken there. A worker's VM that refuses, or dies, while the proxy calls it to
// configure is another matter: Envoy has counted a success by then, and serves
// without the filter, whatever its failure policy (seen in 1.36 and 1.40). A VM that
// dies in any other callback fails its requests instead.
//
// So the VM that is asked first notes in the proxy's shared data what it has
// accepted. A VM that finds its plugin's configuration noted takes it when the
// plugin's context is created, and has nothing left to do, and to refuse, when it is
// called to configure.

// remembered is how many configurations are noted per plugin name. Shared data lives
// as long as the proxy, so that the notes must not grow with every update. What is
// forgotten is taken as if it were new.
const remembered = 128

// noteSize is the size of a note: the hash of a configuration.
const noteSize = 8

// Accepted reports whether a VM of this proxy and this build of the filter has
// accepted the plugin's configuration before: then [Plugin.Configure] is to follow,
// in the same callback, and the plugin won't refuse the configuration later.
func (p *Plugin) Accepted() bool {
	if p.read(); !p.accepted {
		p.configuration = ""
	}
	return p.accepted
}

// read reads the configuration, which is valid until the callback returns, and looks
// for its note.
func (p *Plugin) read() {
	p.configuration = p.host.Configuration()
	if p.configuration == "" { // or one that the proxy doesn't tell
		return
	}
	p.note = note(p.configuration)
	notes, _, _ := p.host.Shared(p.notesKey())
	p.accepted = hasNote(notes, p.note)
}

// WasAccepted reports what Accepted has found, without asking again.
func (p *Plugin) WasAccepted() bool { return p.accepted }

// noteAccepted notes that the configuration has been accepted.
func (p *Plugin) noteAccepted() {
	key := p.notesKey()
	for range 10 { // another VM may write at the same time
		notes, version, _ := p.host.Shared(key)
		if hasNote(notes, p.note) {
			return
		}
		if p.host.SetShared(key, p.note+notes[:min(len(notes), (remembered-1)*noteSize)], version) {
			return
		}
	}
}

// notesKey is where the notes are. All plugins of a vm_id share their data, those of
// other builds too, which may accept something else.
func (p *Plugin) notesKey() string {
	return "proxy-wasm-cors " + p.build + " accepted " + p.host.PluginName()
}

// hasNote reports whether n is among the notes, the latest of which come first.
func hasNote(notes, n string) bool {
	for ; len(notes) >= noteSize; notes = notes[noteSize:] {
		if notes[:noteSize] == n {
			return true
		}
	}
	return false
}

// note is the FNV-1a hash of a configuration. Who writes configurations gains
// nothing by two of the same hash: what is bad is served as no policy.
func note(configuration string) string {
	hash := uint64(14695981039346656037)
	for i := range len(configuration) {
		hash = (hash ^ uint64(configuration[i])) * 1099511628211
	}
	return string(binary.LittleEndian.AppendUint64(nil, hash))
}
