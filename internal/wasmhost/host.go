package wasmhost

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// A status is a host call's result.
type status uint32

const (
	success             status = 0
	notFound            status = 1
	badArgument         status = 2
	invalidMemoryAccess status = 6
	empty               status = 7
	casMismatch         status = 8
	internalFailure     status = 10
)

// statusNames are for the record of calls.
var statusNames = map[status]string{
	notFound: "missing", badArgument: "bad argument", invalidMemoryAccess: "invalid memory access", empty: "empty",
	casMismatch: "cas mismatch", internalFailure: "internal failure",
}

// A function is one that the module can import.
type function struct {
	// signature has one letter a parameter: i for 32 bits, I for 64. A function
	// without result has a "!" before them.
	signature string
	call      func(*call) status
}

// A call is one call of a function by the module.
type call struct {
	vm *VM
	// scope is the context it is for.
	scope *scope
	stack []uint64
	// text is the call as recorded, and what was got, if that says something.
	text  string
	value *string
}

// handler is the function as wazero calls it, by its name with its module's before it.
func (f function) handler(name string) api.GoModuleFunction {
	return api.GoModuleFunc(func(ctx context.Context, module api.Module, stack []uint64) {
		vm := ctx.Value(vmKey{}).(*VM)
		if vm.module == nil { // In _initialize.
			vm.module = module
		}
		c := &call{vm: vm, scope: vm.current, stack: stack}
		if vm.trace != nil {
			vm.trace.add("call "+name, f.arguments(stack)...)
		}
		if vm.effective != nil {
			c.scope = vm.effective
		}
		result := f.run(c, name)
		if c.text != "" {
			if result != success {
				c.text += " -> " + cmp.Or(statusNames[result], fmt.Sprint(result))
			} else if c.value != nil {
				c.text += fmt.Sprintf(" -> %.*q", noted, *c.value)
			}
			vm.current.calls = append(vm.current.calls, c.text)
		}
		if vm.lives > 0 {
			if vm.lives--; vm.lives == 0 {
				panic(errors.New("the VM was to die after this call"))
			}
		}
		if f.void() {
			vm.trace.add("return")
		} else {
			stack[0] = uint64(result)
			vm.trace.add("return", stack[0])
		}
	})
}

// run runs the function's own code, which panics with a status where it finds
// that the module gave an address outside of its memory.
func (f function) run(c *call, name string) (result status) {
	defer func() {
		if r := recover(); r != nil {
			var ok bool
			if result, ok = r.(status); !ok {
				panic(r) // The module's trap while it allocated, or its exit.
			}
		}
	}()
	if failure, fails := c.vm.quirks.Fails[name]; fails {
		c.note("%s", name)
		return status(failure)
	}
	return f.call(c)
}

func (f function) void() bool { return strings.HasPrefix(f.signature, "!") }

// arguments returns the parameters that the module gave.
func (f function) arguments(stack []uint64) []uint64 {
	arguments := slices.Clone(stack[:len(strings.TrimPrefix(f.signature, "!"))])
	for i, letter := range strings.TrimPrefix(f.signature, "!") {
		if letter == 'i' {
			arguments[i] = uint64(uint32(arguments[i]))
		}
	}
	return arguments
}

// types returns the types of the parameters and results.
func (f function) types() (parameters, results []api.ValueType) {
	letters, void := strings.CutPrefix(f.signature, "!")
	for _, letter := range letters {
		t := api.ValueTypeI32
		if letter == 'I' {
			t = api.ValueTypeI64
		}
		parameters = append(parameters, t)
	}
	if !void {
		results = []api.ValueType{api.ValueTypeI32}
	}
	return parameters, results
}

func (c *call) u32(i int) uint32 { return uint32(c.stack[i]) }

// read returns the size bytes at pointer.
func (c *call) read(pointer, size uint32) string {
	b, ok := c.vm.module.Memory().Read(pointer, size)
	if !ok {
		panic(invalidMemoryAccess)
	}
	c.vm.trace.bytes("read", pointer, string(b))
	return string(b)
}

// str returns the text whose pointer and size are parameters i and i+1.
func (c *call) str(i int) string { return c.read(c.u32(i), c.u32(i+1)) }

// put writes a 32-bit value at the address that is parameter i, put64 a 64-bit
// one.
func (c *call) put(i int, v uint32) status {
	return c.putString(i, string(binary.LittleEndian.AppendUint32(nil, v)))
}

func (c *call) put64(i int, v uint64) status {
	return c.putString(i, string(binary.LittleEndian.AppendUint64(nil, v)))
}

func (c *call) putString(i int, v string) status {
	if !c.write(c.u32(i), v) {
		panic(invalidMemoryAccess)
	}
	return success
}

// write writes a value to an address, and reports whether there is memory for it.
func (c *call) write(pointer uint32, v string) bool {
	if !c.vm.module.Memory().WriteString(pointer, v) {
		return false
	}
	c.vm.trace.bytes("write", pointer, v)
	return true
}

// give copies a value into memory that the module allocates, and its pointer
// and size to the addresses that are parameters i and i+1. An empty value needs
// no memory.
func (c *call) give(i int, value string) status {
	pointer := uint32(0)
	if value != "" {
		pointer = c.vm.allocate(len(value))
		if pointer == 0 || !c.write(pointer, value) {
			return invalidMemoryAccess
		}
	}
	c.put(i, pointer)
	return c.put(i+1, uint32(len(value)))
}

// noted is how many bytes of a value are recorded.
const noted = 4096

func (c *call) note(format string, arguments ...any) { c.text = fmt.Sprintf(format, arguments...) }
