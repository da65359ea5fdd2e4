"""Replays traces of internal/wasmhost with a module in Wasmtime, as replay.mjs does:

    python3 replay.py MODULE TRACE…
"""

import base64
import hashlib
import sys

import wasmtime


class Replay:
    """One instance of the module, which is told what a trace says."""

    def __init__(self, engine, module, events):
        self.events, self.at, self.calls = events, 0, 0
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        for i in module.imports:
            linker.define_func(i.module, i.name, i.type, self.function(f"{i.module}.{i.name}", i.type))
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        self.memory = self.exports["memory"]

    def function(self, name, signature):
        masks = [2**64 - 1 if str(p) == "i64" else 2**32 - 1 for p in signature.params]
        return lambda *arguments: self.call(name, [a & m for a, m in zip(arguments, masks)])

    def expect(self, *happened):
        """Takes the next event, which must be what has happened."""
        event = " ".join(map(str, happened))
        if self.events[self.at] != event:
            raise AssertionError(f"event {self.at + 1} is {event}, and was {self.events[self.at]}")
        self.at += 1

    def enter(self):
        _, name, *arguments = self.events[self.at].split(" ")
        self.at += 1
        result = self.exports[name](self.store, *map(int, arguments))
        self.expect("leave", *([] if result is None else [result & (2**32 - 1)]))

    def call(self, name, arguments):
        """An import that the module calls: the trace says what comes of it."""
        self.calls += 1
        self.expect("call", name, *arguments)
        while True:
            event, *words = self.events[self.at].split(" ")
            if event == "enter":
                self.enter()
            elif event == "read":
                address, size = int(words[0]), len(base64.b64decode(words[1]))
                got = self.memory.read(self.store, address, address + size)
                self.expect("read", address, base64.b64encode(got).decode())
            elif event == "write":
                self.memory.write(self.store, base64.b64decode(words[1]), int(words[0]))
                self.at += 1
            elif event == "return":
                self.at += 1
                return int(words[0]) if words else None
            else:
                raise AssertionError(f"event {self.at + 1} is {event} within a call")

    def run(self):
        while self.at < len(self.events):
            if self.events[self.at].startswith("enter "):
                self.enter()
            else:
                memory = self.memory.read(self.store, 0, None)
                self.expect("memory", len(memory), hashlib.sha256(memory).hexdigest())
        return self.calls


def main(path, *traces):
    engine = wasmtime.Engine()
    module = wasmtime.Module.from_file(engine, path)
    for trace in traces:
        with open(trace, encoding="ascii") as events:
            replay = Replay(engine, module, events.read().splitlines())
        try:
            print(f"{trace}: {replay.run()} calls")
        except (AssertionError, wasmtime.WasmtimeError) as e:
            print(f"{trace}: {e}".splitlines()[0])


main(*sys.argv[1:])
