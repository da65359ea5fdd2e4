package main

// cuts are all of them. RATIONALE.md has why they are worth it ("Size of the module", "The
// collector is told when to run").
var cuts = []cut{
	polling, surroundings, functionTable, settings, files,
	tracing, debugging, checks, profiles, versions, foreign, threads, arenas, specials, timers, numbers,
	classes,
}

// The runtime sleeps and waits for files by poll_oneoff, which Envoys before mid-2026
// answer with ENOSYS, and the runtime then ends the VM. A filter has nothing to wait
// for: no timer of its own, no file, no second thread. Only the runtime's scavenger,
// which the collector wakes, goes to sleep between two rounds; that its sleep ends at
// once has it do them at once. So poll_oneoff is no import, and reports that nothing has
// happened. An import that stays would end VMs only under load.
var polling = cut{edits: []edit{{
	file: "runtime/os_wasip1.go",
	old: `//go:wasmimport wasi_snapshot_preview1 poll_oneoff
//go:noescape
func poll_oneoff(in *subscription, out *event, nsubscriptions size, nevents *size) errno
`,
	new: `//go:nosplit
func poll_oneoff(in *subscription, out *event, nsubscriptions size, nevents *size) errno {
	*nevents = 0
	return 0
}
`,
}}}

// The runtime ends the VM where it can't ask for arguments or for the environment; where it can't
// write to its standard error, even while it ends the VM, once more for each word of why; and, sooner
// or later, where the monotonic clock says zero. Here arguments are not asked for, as a filter has
// none; where the environment can't be had it is empty; what can't be written is lost; and the clock
// is put a nanosecond forward, so that it never says zero.
var surroundings = cut{
	unless: []string{"os."},
	edits: []edit{{
		file: "runtime/os_wasip1.go",
		old: `	if args_sizes_get(&argc, &argvBufLen) != 0 {
		throw("args_sizes_get failed")
	}
`,
		new: "",
	}, {
		file: "runtime/os_wasip1.go",
		old: `	if argc > 0 {
`,
		new: `	if false {
`,
	}, {
		file: "runtime/os_wasip1.go",
		old: `		throw("environ_sizes_get failed")
`,
		new: `		environCount = 0
`,
	}, {
		file: "runtime/os_wasip1.go",
		old: `			throw("environ_get failed")
`,
		new: `			envs = envs[:0]
			return
`,
	}, {
		file: "runtime/os_wasip1.go",
		old: `	if fd_write(int32(fd), unsafe.Pointer(&iov), 1, &nwritten) != 0 {
		throw("fd_write failed")
	}
`,
		new: `	fd_write(int32(fd), unsafe.Pointer(&iov), 1, &nwritten)
`,
	}, {
		file: "runtime/os_wasip1.go",
		old: `	return int64(time)
`,
		new: `	return int64(time) + 1
`,
	}},
}

// The linker writes a table that leads from a PC to the function, with a bucket for every 4,096
// bytes of code. On Wasm a PC is the function's number times 65,536 plus a place in it, so that
// each function has sixteen buckets, all of which say its number. The runtime takes the number
// from the PC instead, and the table is cut out of the linker's output, see [withoutFuncTable]. Its
// address has no name any more, so that whatever else reads the table isn't compiled.
var functionTable = cut{edits: []edit{{
	file: "runtime/symtab.go",
	old:  "	findfunctab  uintptr\n",
	new:  "	_            uintptr\n",
}, {
	file: "runtime/symtab.go",
	old: `	ffb := (*findfuncbucket)(add(unsafe.Pointer(datap.findfunctab), b*unsafe.Sizeof(findfuncbucket{})))
	idx := ffb.idx + uint32(ffb.subbuckets[i])
`,
	new: `	_ = i
	idx := uint32(b / nsub)
`,
}}}

// What GODEBUG sets is read and counted by internal/godebug, which keeps a table of all settings
// and registers each with the runtime's metrics: 150 functions, for a variable that filters
// are not given. In the module only package time asks for a setting, of a time-out's channel.
var settings = cut{edits: []edit{{
	file: "time/sleep.go",
	old: `	"internal/godebug"
`,
	new: "",
}, {
	file: "time/sleep.go",
	old: `var asynctimerchan = godebug.New("asynctimerchan")
`,
	new: "",
}, {
	file: "time/sleep.go",
	old: `	if asynctimerchan.Value() == "1" {
		asynctimerchan.IncNonDefault()
		return nil
	}
`,
	new: "",
}}}

// Package syscall looks for folders that the host may have opened for the module, and has its
// standard output not block. A filter has no files, and Envoy's log takes what is written.
var files = cut{edits: []edit{{
	file: "syscall/fs_wasip1.go",
	old: `func init() {
	dirNameBuf := make([]byte, 256)
`,
	new: `func _() {
	dirNameBuf := make([]byte, 256)
`,
}, {
	file: "syscall/fs_wasip1.go",
	old: `func init() {
	// Try to set stdio to non-blocking mode before the os package
`,
	new: `func _() {
	// Try to set stdio to non-blocking mode before the os package
`,
}}}
