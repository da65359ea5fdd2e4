package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Wasm's sections that are looked at (https://webassembly.github.io/spec/core/binary/modules.html).
const (
	codeSection      = 10
	dataSection      = 11
	dataCountSection = 12
)

// withoutFuncTable returns a module that Go has linked without the table that leads from PCs to
// functions, which the edit [functionTable] has made useless: 150 bytes for each function. The
// linker can't be edited as the runtime can, for it is not compiled with the module. Where the
// table stood is zero, which the module's memory is anyway, so that no address changes.
func withoutFuncTable(module []byte) ([]byte, error) {
	sections, err := readSections(module)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(module[:headerSize])
	functions, cut := 0, false
	for _, s := range sections {
		switch s.id {
		case dataCountSection:
			return nil, errors.New("the module numbers its data segments, which would get other numbers")
		case codeSection:
			r := reader{rest: s.content}
			functions = r.uint()
		case dataSection:
			if s.content, err = cutFuncTable(s.content, functions); err != nil {
				return nil, err
			}
			cut = true
		}
		out = append(out, s.id)
		out = binary.AppendUvarint(out, uint64(len(s.content)))
		out = append(out, s.content...)
	}
	if !cut {
		return nil, errors.New("the module has no data")
	}
	return out, nil
}

// cutFuncTable returns the content of the data section without the table for so many functions.
func cutFuncTable(content []byte, functions int) ([]byte, error) {
	memory, err := readData(content)
	if err != nil {
		return nil, err
	}
	table := funcTable(functions)
	at := bytes.Index(memory, table)
	if at < 0 || bytes.Contains(memory[at+1:], table) {
		return nil, fmt.Errorf("the linker's table of %d functions isn't there, once, as it is known; "+
			"read what this version of Go writes, and mend tools/module", functions)
	}
	clear(memory[at : at+len(table)])
	return appendData(nil, memory), nil
}

// A function's buckets, as the linker writes them for the runtime's findfuncbucket: its number
// in 32 bits, and sixteen differences to it, which are 0.
const (
	bucketsPerFunction = 16
	bucketSize         = 4 + 16
)

// funcTable is the linker's table of so many functions. Of the last one only the number and the
// first difference are sure to be there: the table ends where the function does, and is zero from
// there but for the number, in every bucket.
func funcTable(functions int) []byte {
	table := make([]byte, functions*bucketsPerFunction*bucketSize)
	for at := 0; at < len(table); at += bucketSize {
		binary.LittleEndian.PutUint32(table[at:], uint32(at/(bucketsPerFunction*bucketSize)))
	}
	return table[:max(0, len(table)-bucketsPerFunction*bucketSize+5)]
}

const (
	// headerSize is that of the magic number and the version.
	headerSize = 8
	// maxMemory is more than any module's data may span, lest a broken one exhaust the memory.
	maxMemory = 64 << 20
)

// A section of a module.
type section struct {
	id      byte
	content []byte
}

func readSections(module []byte) ([]section, error) {
	if !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("the linker wrote no Wasm module")
	}
	var sections []section
	for r := (reader{rest: module[headerSize:]}); len(r.rest) > 0; {
		s := section{id: r.byte()}
		s.content = r.bytes(r.uint())
		if r.broken {
			return nil, errors.New("the linker wrote a Wasm module with a broken section")
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// A segment of the data section is for memory 0, and at an address that is a constant.
const (
	i32Const = 0x41
	end      = 0x0b
)

// readData returns the memory as the content of a data section initializes it.
func readData(content []byte) ([]byte, error) {
	r := reader{rest: content}
	var memory []byte
	for range r.uint() {
		known := r.uint() == 0 && r.byte() == i32Const
		address := r.int()
		known = known && r.byte() == end && address >= 0
		data := r.bytes(r.uint())
		if r.broken || !known || address+len(data) > maxMemory {
			return nil, errors.New("the linker wrote data in another way than it is known for")
		}
		memory = append(memory, make([]byte, max(0, address+len(data)-len(memory)))...)
		copy(memory[address:], data)
	}
	return memory, nil
}

// segmentOverhead is what a segment takes beside its data, so that a run of zeros that is not
// longer goes into the data. The linker's own rule is the same.
const segmentOverhead = 8

// appendData appends the content of a data section that initializes the memory.
func appendData(to, memory []byte) []byte {
	var segments []byte
	n := 0
	for begin := 0; ; n++ {
		for begin < len(memory) && memory[begin] == 0 {
			begin++
		}
		if begin == len(memory) {
			break
		}
		stop := len(memory)
		if i := bytes.Index(memory[begin:], make([]byte, segmentOverhead)); i >= 0 {
			stop = begin + i
		}
		data := bytes.TrimRight(memory[begin:stop], "\x00")
		segments = append(segments, 0, i32Const)
		segments = appendInt(segments, begin)
		segments = append(segments, end)
		segments = binary.AppendUvarint(segments, uint64(len(data)))
		segments = append(segments, data...)
		begin = stop
	}
	return append(binary.AppendUvarint(to, uint64(n)), segments...)
}

// appendInt appends a number that isn't negative in signed LEB128.
func appendInt(b []byte, n int) []byte {
	for ; n >= 0x40; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// A reader reads the parts of a section. It is broken where they end too early.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) byte() byte {
	if b := r.bytes(1); !r.broken {
		return b[0]
	}
	return 0
}

func (r *reader) bytes(n int) []byte {
	if r.broken || n > len(r.rest) {
		r.broken = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// uint reads a number of 32 bits in unsigned LEB128.
func (r *reader) uint() int {
	n, size := binary.Uvarint(r.rest)
	if r.broken || size <= 0 || n > 1<<32-1 {
		r.broken = true
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

// int reads a number of 32 bits in signed LEB128.
func (r *reader) int() int {
	n, shift := 0, 0
	for {
		b := r.byte()
		n |= int(b&0x7f) << shift
		shift += 7
		switch {
		case r.broken || shift > 35:
			r.broken = true
			return 0
		case b < 0x40:
			return n
		case b < 0x80:
			return n - 1<<shift
		}
	}
}
