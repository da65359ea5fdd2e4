;; A floor for any CORS filter in Wasm: the host calls that the work takes, in the
;; cheapest order, and next to nothing between them. One origin and the answer to its
;; preflight are built in. For measuring only: values from the host all land in one
;; buffer, and what the answer needs is kept by the stream's number modulo 1024.
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)

  ;; 0 and 4: where the host puts a value's address and its length.
  (data (i32.const 16) "origin")
  (data (i32.const 32) "https://foo.example")
  (data (i32.const 64) "access-control-request-method")
  (data (i32.const 96) ":method")
  (data (i32.const 112) "OPTIONS")
  (data (i32.const 128) "access-control-allow-origin")
  (data (i32.const 160) "vary")
  (data (i32.const 176) "Origin")
  ;; The preflight's headers as a header map: their number, the lengths of each name
  ;; and value, then each name and value with a zero behind it.
  (data (i32.const 256)
    "\05\00\00\00"
    "\1b\00\00\00\13\00\00\00"
    "\1c\00\00\00\09\00\00\00"
    "\1c\00\00\00\0b\00\00\00"
    "\16\00\00\00\05\00\00\00"
    "\04\00\00\00\45\00\00\00"
    "access-control-allow-origin\00https://foo.example\00"
    "access-control-allow-methods\00GET, POST\00"
    "access-control-allow-headers\00x-pingother\00"
    "access-control-max-age\0086400\00"
    "vary\00Origin, Access-Control-Request-Method, Access-Control-Request-Headers\00")
  ;; 4096: values from the host. 65536: a byte per stream, what its answer needs.
  (global $vary i32 (i32.const 0))
  (global $allow i32 (i32.const 1))
  (global $nothing i32 (i32.const 2))

  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_0"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)

  ;; Gets a request header; 0 if there is one.
  (func $header (param $name i32) (param $len i32) (result i32)
    (call $get (i32.const 0) (local.get $name) (local.get $len) (i32.const 0) (i32.const 4)))

  ;; Whether the value that the host gave last is the text at $want.
  (func $equal (param $want i32) (param $len i32) (result i32) (local $got i32)
    (if (i32.ne (i32.load (i32.const 4)) (local.get $len)) (then (return (i32.const 0))))
    (local.set $got (i32.load (i32.const 0)))
    (loop $next
      (if (i32.eqz (local.get $len)) (then (return (i32.const 1))))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br_if $next (i32.eq
        (i32.load8_u (i32.add (local.get $got) (local.get $len)))
        (i32.load8_u (i32.add (local.get $want) (local.get $len))))))
    (i32.const 0))

  (func $slot (param $stream i32) (result i32)
    (i32.add (i32.const 65536) (i32.and (local.get $stream) (i32.const 1023))))

  (func (export "proxy_on_request_headers") (param $stream i32) (param i32 i32) (result i32)
    (i32.store8 (call $slot (local.get $stream)) (global.get $vary))
    (if (call $header (i32.const 16) (i32.const 6)) (then (return (i32.const 0))))
    (if (i32.eqz (call $equal (i32.const 32) (i32.const 19))) (then (return (i32.const 0))))
    (i32.store8 (call $slot (local.get $stream)) (global.get $allow))
    (if (call $header (i32.const 64) (i32.const 29)) (then (return (i32.const 0))))
    (drop (call $header (i32.const 96) (i32.const 7)))
    (if (i32.eqz (call $equal (i32.const 112) (i32.const 7))) (then (return (i32.const 0))))
    (i32.store8 (call $slot (local.get $stream)) (global.get $nothing))
    (drop (call $reply (i32.const 204) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 256) (i32.const 276) (i32.const -1)))
    (i32.const 1))

  (func (export "proxy_on_response_headers") (param $stream i32) (param i32 i32) (result i32) (local $needs i32)
    (local.set $needs (i32.load8_u (call $slot (local.get $stream))))
    (if (i32.eq (local.get $needs) (global.get $nothing)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $needs) (global.get $allow)) (then
      (drop (call $replace (i32.const 2) (i32.const 128) (i32.const 27) (i32.const 32) (i32.const 19)))))
    (drop (call $add (i32.const 2) (i32.const 160) (i32.const 4) (i32.const 176) (i32.const 6)))
    (i32.const 0)))
