package main

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// aModule returns a module that has so many functions, and the memory as its data.
func aModule(functions int, memory []byte) []byte {
	module := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range []section{
		{0, []byte("\x04name")},
		{codeSection, append(binary.AppendUvarint(nil, uint64(functions)), "code"...)},
		{dataSection, appendData(nil, memory)},
		{0, []byte("\x09producers")},
	} {
		module = append(module, s.id)
		module = append(binary.AppendUvarint(module, uint64(len(s.content))), s.content...)
	}
	return module
}

// functions are numbered with one byte and with two.
const functions = 700

// withTable is a memory that has the linker's table in it.
func withTable() []byte {
	return slices.Concat(make([]byte, 20), []byte("before"), make([]byte, 6), funcTable(functions), []byte("after"))
}

// TestWithoutFuncTable: the table goes, and nothing else; and where it is not as it is known, the
// build fails.
func TestWithoutFuncTable(t *testing.T) {
	table := funcTable(functions)
	for _, test := range []struct {
		name   string
		module []byte
		err    string
	}{
		{"as it is", aModule(functions, withTable()), ""},
		{"the last function is long", aModule(functions, slices.Concat(make([]byte, 16), table,
			slices.Repeat(append(make([]byte, bucketSize-5), table[len(table)-5:]...), 3), []byte("after"))), ""},
		{"none", aModule(functions, []byte("data")), "table of 700 functions isn't there"},
		{"another function's number", aModule(functions,
			bytes.Replace(withTable(), []byte{200, 0, 0, 0}, []byte{201, 0, 0, 0}, 1)), "isn't there"},
		{"a bucket with several functions", aModule(functions,
			bytes.Replace(withTable(), []byte{200, 0, 0, 0}, []byte{200, 0, 0, 0, 1}, 1)), "isn't there"},
		{"fewer functions than the module has", aModule(functions+1, withTable()), "isn't there"},
		{"twice", aModule(functions, slices.Concat(withTable(), withTable())), "isn't there, once"},
		{"no data", aModule(functions, withTable())[:30], "broken section"},
		{"no module", []byte("#!/bin/sh\n"), "no Wasm module"},
		{"data that is counted", append([]byte("\x00asm\x01\x00\x00\x00"), dataCountSection, 1, 1), "numbers its data"},
		{"an address that is computed", append([]byte("\x00asm\x01\x00\x00\x00"),
			dataSection, 6, 1, 0, 0x23, 0, end, 0), "another way"},
		{"a negative address", append([]byte("\x00asm\x01\x00\x00\x00"),
			dataSection, 6, 1, 0, i32Const, 0x7f, end, 0), "another way"},
		{"data far away", append([]byte("\x00asm\x01\x00\x00\x00"),
			dataSection, 11, 1, 0, i32Const, 0xff, 0xff, 0xff, 0xff, 7, end, 1, 'x'), "another way"},
		{"more data than there is", append([]byte("\x00asm\x01\x00\x00\x00"),
			dataSection, 6, 1, 0, i32Const, 0, end, 9), "another way"},
		{"empty", []byte("\x00asm\x01\x00\x00\x00"), "no data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := withoutFuncTable(test.module)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkCut(t, test.module, got, len(table))
		})
	}
}

// checkCut checks that two modules differ in so many bytes of data at the most, which are zero in
// the second one.
func checkCut(t *testing.T, whole, cut []byte, size int) {
	t.Helper()
	before, err := readSections(whole)
	if err != nil {
		t.Fatal(err)
	}
	after, err := readSections(cut)
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d sections of %d, error %v", len(after), len(before), err)
	}
	for i, s := range before {
		if s.id != dataSection {
			if s.id != after[i].id || !bytes.Equal(s.content, after[i].content) {
				t.Errorf("section %d, %d differs", i, s.id)
			}
			continue
		}
		had, _ := readData(s.content)
		has, err := readData(after[i].content)
		if err != nil || len(has) != len(had) {
			t.Fatalf("%d bytes of data of %d, error %v", len(has), len(had), err)
		}
		first, last := len(had), 0
		for at := range had {
			if had[at] != has[at] {
				if first, last = min(first, at), at; has[at] != 0 {
					t.Fatalf("byte %d was %d, and is %d", at, had[at], has[at])
				}
			}
		}
		if last-first > size || first > last {
			t.Errorf("bytes %d to %d were cut", first, last)
		}
	}
}

// TestData: what the linker writes as data is read as the memory that it was.
func TestData(t *testing.T) {
	for _, test := range []struct{ name, memory string }{
		{"nothing", ""},
		{"zeros first", strings.Repeat("\x00", 1000) + "data"},
		{"few zeros between", "data" + strings.Repeat("\x00", segmentOverhead-1) + "data"},
		{"more zeros between", "data" + strings.Repeat("\x00", segmentOverhead) + "data"},
		{"far away", strings.Repeat("\x00", 1<<21) + "data" + strings.Repeat("\x00", 100) + "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readData(appendData(nil, []byte(test.memory)))
			if err != nil || string(got) != test.memory {
				t.Errorf("got %d bytes, error %v, want %d", len(got), err, len(test.memory))
			}
		})
	}
}
