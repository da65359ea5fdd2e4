package filter

import (
	"encoding/binary"
	"time"
)

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

// The notes also say which VM logs what comes of a configuration: one of all that take it.
// Nothing tells a VM that it is the first, and an update may bring back what served before.
// So a note says how often that was logged, and when last, and each VM counts how often it
// has taken a configuration: one that has more often than it was logged, logs it. New VMs
// can't know, and do so where nobody did for a while.

// remembered is how many configurations are noted per plugin name. Shared data lives
// as long as the proxy, so that the notes must not grow with every update. What is
// forgotten is taken as if it were new.
const remembered = 128

// A note is the hash of a configuration, how often it was logged, and when last, in
// seconds.
const (
	hashSize = 8
	noteSize = hashSize + 4 + 4
)

// logged is for how long, in seconds, what was logged goes for new VMs too. The workers
// take a configuration within seconds of the VM that Envoy tries it in.
const logged = 60

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
	p.hash = hashOf(p.configuration)
	notes, _, _ := p.host.Shared(p.notesKey())
	p.accepted = findNote(notes, p.hash) >= 0
}

// WasAccepted reports what Accepted has found, without asking again.
func (p *Plugin) WasAccepted() bool { return p.accepted }

// noteTaken notes that the configuration has been accepted and taken at a time, and
// reports whether this VM is to log it.
func (p *Plugin) noteTaken(now uint32) bool {
	key := p.notesKey()
	loads := p.loads[key+p.hash] + 1
	for other := range p.loads { // What is forgotten is as if the VM were a new one.
		if len(p.loads) >= remembered {
			delete(p.loads, other)
		}
	}
	p.loads[key+p.hash] = loads
	var note [noteSize]byte
	for range 10 { // another VM may write at the same time
		notes, version, _ := p.host.Shared(key)
		times, rest := uint32(0), notes
		if i := findNote(notes, p.hash); i >= 0 {
			copy(note[:], notes[i:])
			times = binary.LittleEndian.Uint32(note[hashSize:])
			if loads <= times && now-binary.LittleEndian.Uint32(note[hashSize+4:]) < logged {
				return false
			}
			rest = notes[:i] + notes[i+noteSize:]
		}
		copy(note[:], p.hash)
		binary.LittleEndian.PutUint32(note[hashSize:], times+1)
		binary.LittleEndian.PutUint32(note[hashSize+4:], now)
		notes = string(note[:]) + rest[:min(len(rest), (remembered-1)*noteSize)]
		// A VM that died after noting would be refused once, and its configuration taken as
		// known by all when it comes again.
		p.host.Settle()
		if p.host.SetShared(key, notes, version) {
			break
		}
	}
	return true
}

// seconds is the time.
func seconds() uint32 { return uint32(time.Now().Unix()) }

// notesKey is where the notes are. All plugins of a vm_id share their data, those of
// other builds too, which may accept something else.
func (p *Plugin) notesKey() string {
	return "proxy-wasm-cors " + p.build + " accepted " + p.host.PluginName()
}

// findNote is where the note of a hash is among the notes, the latest of which come first,
// or -1.
func findNote(notes, hash string) int {
	for i := 0; i+noteSize <= len(notes); i += noteSize {
		if notes[i:i+hashSize] == hash {
			return i
		}
	}
	return -1
}

// hashOf is the FNV-1a hash of a configuration. Who writes configurations gains
// nothing by two of the same hash: what is bad is served as no policy.
func hashOf(configuration string) string {
	hash := uint64(14695981039346656037)
	for i := range len(configuration) {
		hash = (hash ^ uint64(configuration[i])) * 1099511628211
	}
	return string(binary.LittleEndian.AppendUint64(nil, hash))
}
