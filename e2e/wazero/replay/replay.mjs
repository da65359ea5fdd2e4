// Replays traces of internal/wasmhost with a module, in whatever engine runs this:
//
//	node replay.mjs MODULE TRACE…
//
// The module is told all that a host has said to it. Of each trace one line is printed: how many calls
// the module made, if it made the same and its memory is the same in the end, or what differs.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const [modulePath, ...tracePaths] = process.argv.slice(2)
const module = new WebAssembly.Module(readFileSync(modulePath))
for (const path of tracePaths) {
  const events = readFileSync(path, 'latin1').trimEnd().split('\n')
  try {
    console.log(`${path}: ${replay(events)} calls`)
  } catch (e) {
    console.log(`${path}: ${e.message}`)
  }
}

// replay returns how many calls the module made.
function replay(events) {
  let at = 0
  let calls = 0
  let instance
  const memory = () => Buffer.from(instance.exports.memory.buffer)

  // expect takes the next event, which must be what has happened.
  const expect = (...happened) => {
    const event = happened.join(' ')
    if (events[at] !== event) throw new Error(`event ${at + 1} is ${event}, and was ${events[at]}`)
    at++
  }
  const unsigned = (n) => (typeof n === 'bigint' ? BigInt.asUintN(64, n) : n >>> 0)

  const enter = () => {
    const [, name, ...args] = events[at++].split(' ')
    const result = instance.exports[name](...args.map(Number))
    expect('leave', ...(result === undefined ? [] : [unsigned(result)]))
  }

  // call is an import that the module calls: the trace says what comes of it.
  const call = (name, args) => {
    calls++
    expect('call', name, ...args.map(unsigned))
    for (;;) {
      const [event, ...words] = events[at].split(' ')
      const address = Number(words[0])
      const bytes = Buffer.from(words[1] ?? '', 'base64')
      switch (event) {
        case 'enter':
          enter()
          continue
        case 'read':
          expect('read', address, memory().subarray(address, address + bytes.length).toString('base64'))
          continue
        case 'write':
          bytes.copy(memory(), address)
          at++
          continue
        case 'return':
          at++
          return words.length ? Number(words[0]) : undefined
        default:
          throw new Error(`event ${at + 1} is ${event} within a call`)
      }
    }
  }

  const imports = {}
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {}
    imports[from][name] = (...args) => call(`${from}.${name}`, args)
  }
  instance = new WebAssembly.Instance(module, imports)
  while (at < events.length) {
    if (events[at].startsWith('enter ')) {
      enter()
    } else {
      expect('memory', memory().length, createHash('sha256').update(memory()).digest('hex'))
    }
  }
  return calls
}
