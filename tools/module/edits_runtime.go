package main

// What of the runtime is compiled into every program and never runs in this one. Nothing else
// changes: each condition is false in the module as it stands, and the compiler isn't told so.

// never has the compiler know that a condition, which the file has so many times, is false.
func never(file, condition string, times int) edit {
	return edit{file: file, old: "if " + condition + " {\n", new: "if false {\n", times: times}
}

// empty has a function, which the file declares so, return at once.
func empty(file, function string) edit {
	return edit{file: file, old: "\nfunc " + function + " {\n", new: "\nfunc " + function + " {\n\treturn\n"}
}

// dies has a function, which the file declares so, end the VM: either it would do so anyway, or
// it is never called.
func dies(file, function, says string) edit {
	e := empty(file, function)
	// Before the return, which only has the compiler know that nothing comes after it.
	e.new = e.old + "\tthrow(\"" + says + "\")\n\treturn\n"
	return e
}

// Execution traces are written by a program that asks for them.
var tracing = cut{
	unless: []string{"runtime.StartTrace", "runtime/trace."},
	edits: []edit{
		{file: "runtime/traceruntime.go", old: "	return trace.enabled\n", new: "	return false\n"},
		{file: "runtime/traceruntime.go", old: "	return trace.shutdown.Load()\n", new: "	return false\n"},
		{file: "runtime/traceruntime.go", old: "	return tl.gen != 0\n", new: "	return false\n"},
		never("runtime/malloc.go", "traceAllocFreeEnabled()", 1),
		never("runtime/mgcsweep.go",
			"traceAllocFreeEnabled() || debug.clobberfree != 0 || raceenabled || msanenabled || asanenabled", 1),
		never("runtime/mheap.go", "traceAllocFreeEnabled()", 3),
		never("runtime/stack.go", "traceAllocFreeEnabled()", 2),
	},
}

// What the variable GODEBUG has the runtime check and print is for finding its own bugs.
var debugging = cut{
	edits: []edit{
		never("runtime/malloc.go", "debug.malloc", 2),
		never("runtime/malloc.go", "debug.sbrk != 0", 1),
		never("runtime/malloc.go", "debug.checkfinalizers != 0 && elemsize == 0", 1),
		never("runtime/mgc.go", "debug.gccheckmark > 0", 3),
		never("runtime/mgc.go", "debug.checkfinalizers > 0", 2),
		never("runtime/mgc.go", "debug.gctrace > 1", 3),
		never("runtime/mgc.go", "debug.gctrace > 0", 1),
		never("runtime/mgcmark.go", "debug.checkfinalizers > 1", 1),
		never("runtime/mgcmark.go", "debug.gccheckmark > 0 && span.isFree(objIndex)", 1),
		never("runtime/mgcmark.go", "useCheckmark", 1),
		never("runtime/mgcpacer.go", "debug.gcpacertrace > 0", 2),
		never("runtime/mgcsweep.go", "debug.gcpacertrace > 0", 1),
		never("runtime/mgcsweep.go", "debug.scavtrace > 0", 1),
		never("runtime/mheap.go", "debug.scavtrace > 0", 1),
		never("runtime/panic.go", "debug.schedtrace > 0 || debug.scheddetail > 0", 1),
		never("runtime/proc.go", "debug.inittrace != 0", 1),
		never("runtime/proc.go", "debug.gctrace > 0", 1),
		{
			file: "runtime/proc.go",
			old:  "	if debug.tracebackancestors <= 0 || callergp.goid == 0 {\n",
			new:  "	if true {\n",
		},
		{file: "runtime/traceback.go", old: "		printAncestorTraceback(ancestor)\n", new: "		_ = ancestor\n"},
	},
}

// What the runtime checks of itself when it starts, and what it prints about its memory where
// that is broken, before it ends the VM all the same.
var checks = cut{
	edits: []edit{
		empty("runtime/runtime1.go", "check()"),
		empty("runtime/symtab.go", "moduledataverify()"),
		dies("runtime/mgcsweep.go", "(s *mspan) reportZombies()", "found pointer to free object"),
		dies("runtime/mbitmap.go", "badPointer(s *mspan, p, refBase, refOff uintptr)", "found bad pointer in Go heap"),
		empty("runtime/mgcmark.go", "gcDumpObject(label string, obj, off uintptr)"),
	},
}

// Profiles are read by a program that asks for them, and so are goroutines that leak.
var profiles = cut{
	unless: []string{"runtime.MemProfile", "runtime.SetBlockProfileRate", "runtime.SetMutexProfileFraction",
		"runtime.GoroutineProfile", "runtime/pprof."},
	edits: []edit{
		never("runtime/malloc.go", "c.nextSample < 0 || MemProfileRate != c.memProfRate", 5),
		never("runtime/chan.go", "blockprofilerate > 0", 2),
		never("runtime/mprof.go", "blocksampled(cycles, rate)", 1),
		never("runtime/sema.go", "profile&semaBlockProfile != 0 && blockprofilerate > 0", 1),
		never("runtime/sema.go", "profile&semaMutexProfile != 0 && mutexprofilerate > 0", 1),
		never("runtime/proc.go", "goroutineProfile.active", 3),
		never("runtime/mgc.go", "work.goroutineLeak.pending.Load()", 1),
		never("runtime/mgc.go", "work.goroutineLeak.enabled", 1),
		{
			file: "runtime/mgc.go",
			old:  "	if restart || (work.goroutineLeak.enabled && !work.goroutineLeak.done) {\n		if restart {\n",
			new:  "	if restart {\n		if true {\n",
		},
		never("runtime/mgcmark.go", "work.goroutineLeak.enabled", 1),
		{file: "runtime/mgcmark.go", old: "	if !work.goroutineLeak.enabled {\n", new: "	if true {\n"},
	},
}

// The runtime keeps the versions of what a program is built of for the program itself. The
// module's are in the provenance of a release.
var versions = cut{
	unless: []string{"runtime/debug.ReadBuildInfo"},
	edits:  []edit{never("runtime/proc.go", "len(modinfo) == 1", 1)},
}

// There is no C in a Wasm module, whose functions would stand in stacks.
var foreign = cut{
	edits: []edit{
		never("runtime/traceback.go", "iscgo && gp.m != nil && gp.m.ncgo > 0 && gp.syscallsp != 0 && "+
			"gp.m.cgoCallers != nil && gp.m.cgoCallers[0] != 0", 1),
		{
			file: "runtime/traceback.go",
			old:  "	return cgoTraceback != nil && _cgo_call_traceback_function != nil\n",
			new:  "	return false\n",
		},
		{
			file: "runtime/traceback.go",
			old:  "	return cgoSymbolizer != nil && _cgo_call_symbolizer_function != nil\n",
			new:  "	return false\n",
		},
	},
}

// Wasm has one thread, so that the runtime has one P, and dies where it would start another.
var threads = cut{
	unless: []string{"runtime.GOMAXPROCS"},
	edits: []edit{
		dies("runtime/proc.go", "newm(fn func(), pp *p, id int64)", "newm: a Wasm module has one thread"),
		dies("runtime/proc.go", "(pp *p) destroy()", "destroy: a Wasm module has one P"),
		empty("runtime/proc.go", "defaultGOMAXPROCSUpdateEnable()"),
	},
}

// There are no arenas of the package of that name, and no plugins, whose types would be others'
// as well.
var arenas = cut{
	unless: []string{"arena."},
	edits: []edit{
		never("runtime/mgcsweep.go", "s.isUserArenaChunk", 1),
		{file: "runtime/mgc.go", old: "		lc.mspan.setUserArenaChunkToFault()\n", new: "		_ = lc\n"},
		empty("runtime/type.go", "typelinksinit()"),
	},
}

// Nothing has a finalizer or a cleanup, nor is anything pinned or pointed to weakly.
var specials = cut{
	unless: []string{"runtime.SetFinalizer", "runtime.AddCleanup", "runtime.(*Pinner).Pin", "weak."},
	edits: []edit{
		dies("runtime/mheap.go", "freeSpecial(s *special, p unsafe.Pointer, size uintptr)", "freeSpecial: there are none"),
	},
}

// A channel that a timer sends to has the timers looked after by who receives from it.
var timers = cut{
	unless: []string{"time.newTimer"},
	edits: []edit{
		never("runtime/chan.go", "c.timer != nil", 5),
	},
}

// A panic whose value is a number that isn't whole would be printed when it ends the VM. Ours
// are texts and errors.
var numbers = cut{
	edits: []edit{
		{
			file: "runtime/error.go",
			old: `	case float32:
		print(v)
	case float64:
		print(v)
	case complex64:
		print(v)
	case complex128:
		print(v)
`,
			new: "",
		},
		{
			file: "runtime/error.go",
			old: `	case abi.Float32:
		print(typestring, "(", *(*float32)(eface.data), ")")
	case abi.Float64:
		print(typestring, "(", *(*float64)(eface.data), ")")
	case abi.Complex64:
		print(typestring, *(*complex64)(eface.data))
	case abi.Complex128:
		print(typestring, *(*complex128)(eface.data))
`,
			new: "",
		},
	},
}
