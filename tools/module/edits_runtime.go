package main

import "slices"

// What of the runtime is compiled into every program and never runs in this one. Nothing else
// changes: each condition is false in the module as it stands, and the compiler isn't told so.

// never has the compiler know that a condition, which the file has so many times, is false.
func never(file, condition string, times int) edit {
	return edit{file: file, old: "if " + condition + " {\n", new: "if false {\n", times: times}
}

// Execution traces are written by a program that asks for them.
var tracing = []edit{
	{file: "runtime/traceruntime.go", old: "	return trace.enabled\n", new: "	return false\n"},
	{file: "runtime/traceruntime.go", old: "	return trace.enabledWithAllocFree\n", new: "	return false\n"},
	{file: "runtime/traceruntime.go", old: "	return trace.shutdown.Load()\n", new: "	return false\n"},
	{file: "runtime/traceruntime.go", old: "	return tl.gen != 0\n", new: "	return false\n"},
}

// What the variable GODEBUG has the runtime check and print is for finding its own bugs.
var debugging = []edit{
	never("runtime/malloc.go", "debug.malloc", 2),
	never("runtime/malloc.go", "debug.sbrk != 0", 1),
	never("runtime/malloc.go", "debug.checkfinalizers != 0 && elemsize == 0", 1),
	never("runtime/mgc.go", "debug.gccheckmark > 0", 3),
	never("runtime/mgc.go", "debug.checkfinalizers > 0", 2),
	never("runtime/mgc.go", "debug.gctrace > 1", 3),
	never("runtime/mgc.go", "debug.gctrace > 0", 1),
	never("runtime/mgcmark.go", "debug.checkfinalizers > 1", 1),
	never("runtime/mgcmark.go", "debug.gccheckmark > 0 && span.isFree(objIndex)", 1),
	never("runtime/mgcpacer.go", "debug.gcpacertrace > 0", 2),
	never("runtime/mgcsweep.go", "debug.gcpacertrace > 0", 1),
	never("runtime/mgcsweep.go", "debug.scavtrace > 0", 1),
	never("runtime/mgcsweep.go",
		"traceAllocFreeEnabled() || debug.clobberfree != 0 || raceenabled || msanenabled || asanenabled", 1),
	never("runtime/mheap.go", "debug.scavtrace > 0", 1),
	never("runtime/panic.go", "debug.schedtrace > 0 || debug.scheddetail > 0", 1),
	never("runtime/proc.go", "debug.inittrace != 0", 1),
	never("runtime/proc.go", "debug.gctrace > 0", 1),
	{
		file: "runtime/proc.go",
		old:  "	if debug.tracebackancestors <= 0 || callergp.goid == 0 {\n",
		new:  "	if true {\n",
	},
}

// Profiles are read by a program that asks for them, and so are goroutines that leak.
var profiles = []edit{
	never("runtime/malloc.go", "c.nextSample < 0 || MemProfileRate != c.memProfRate", 5),
	never("runtime/chan.go", "blockprofilerate > 0", 2),
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
}

// There is no C in a Wasm module, whose functions would stand in stacks.
var foreign = []edit{
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
}

// There are no arenas of the package of that name, and no plugins, whose types would be others'
// as well.
var absent = []edit{
	never("runtime/mgcsweep.go", "s.isUserArenaChunk", 1),
	{file: "runtime/mgc.go", old: "		lc.mspan.setUserArenaChunkToFault()\n", new: "		_ = lc\n"},
	{
		file: "runtime/type.go",
		old:  "func typelinksinit() {\n	if firstmoduledata.next == nil {\n",
		new:  "func typelinksinit() {\n	if true {\n",
	},
}

var unused = slices.Concat(tracing, debugging, profiles, foreign, absent)
