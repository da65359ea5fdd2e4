;; The floor of a filter that does what the contract asks: the same host calls as the
;; filter makes, with the same sizes (equal_test.go holds them against each other), and
;; next to nothing between them. One origin and the answer to its preflight are built in.
;; For measuring only: it doesn't look at what a preflight asks for, and an answer that
;; has an Access-Control-Allow-Origin counts as edited.
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (memory (export "memory") 4)

  ;; 0 and 4: where the host puts a value's address and its length; 8 and 12: the numbers
  ;; of the counters.
  (data (i32.const 16) "origin")
  (data (i32.const 32) "https://foo.example")
  (data (i32.const 64) "access-control-request-method")
  (data (i32.const 96) "access-control-allow-origin")
  (data (i32.const 128) "vary")
  (data (i32.const 144) "Origin")
  (data (i32.const 160) "cors: preflight allowed")
  (data (i32.const 192) "cors_policy=.=default;.;cors_outcome=.=allowed;.;cors_requests_total")
  (data (i32.const 272) "cors_policy=.=default;.;cors_outcome=.=preflight_allowed;.;cors_requests_total")
  ;; The preflight's headers as a header map: their number, the lengths of each name
  ;; and value, then each name and value with a zero behind it.
  (data (i32.const 512)
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
  ;; 65536: a byte for each stream, by its number modulo 1024: what its answer needs.
  (global $nothing i32 (i32.const 0))
  (global $vary i32 (i32.const 1))
  (global $allow i32 (i32.const 2))
  (global $deny i32 (i32.const 3))
  ;; From here on the host puts what it hands over, until the next callback.
  (global $room i32 (i32.const 66560))
  (global $used (mut i32) (i32.const 66560))

  (func (export "_initialize"))
  (func (export "proxy_abi_version_0_2_0"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $used)
    (global.set $used (i32.add (global.get $used) (local.get $size))))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $define (i32.const 0) (i32.const 192) (i32.const 68) (i32.const 8)))
    (drop (call $define (i32.const 0) (i32.const 272) (i32.const 78) (i32.const 12)))
    i32.const 1)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_delete") (param i32))

  ;; Gets a header of a map; 0 if there is one.
  (func $header (param $map i32) (param $name i32) (param $size i32) (result i32)
    (call $get (local.get $map) (local.get $name) (local.get $size) (i32.const 0) (i32.const 4)))

  ;; Whether the value that the host gave last is the text at $want.
  (func $equal (param $want i32) (param $size i32) (result i32) (local $got i32)
    (if (i32.ne (i32.load (i32.const 4)) (local.get $size)) (then (return (i32.const 0))))
    (local.set $got (i32.load (i32.const 0)))
    (loop $next
      (if (i32.eqz (local.get $size)) (then (return (i32.const 1))))
      (local.set $size (i32.sub (local.get $size) (i32.const 1)))
      (br_if $next (i32.eq
        (i32.load8_u (i32.add (local.get $got) (local.get $size)))
        (i32.load8_u (i32.add (local.get $want) (local.get $size))))))
    (i32.const 0))

  ;; Whether the header map that the host gave last has a name as long as
  ;; Access-Control-Allow-Origin.
  (func $edited (result i32) (local $sizes i32) (local $end i32)
    (local.set $sizes (i32.add (i32.load (i32.const 0)) (i32.const 4)))
    (local.set $end (i32.add (local.get $sizes)
      (i32.mul (i32.load (i32.load (i32.const 0))) (i32.const 8))))
    (loop $next
      (if (i32.eq (local.get $sizes) (local.get $end)) (then (return (i32.const 0))))
      (if (i32.eq (i32.load (local.get $sizes)) (i32.const 27)) (then (return (i32.const 1))))
      (local.set $sizes (i32.add (local.get $sizes) (i32.const 8)))
      (br $next))
    (unreachable))

  ;; Where the byte of a stream is.
  (func $slot (param $stream i32) (result i32)
    (i32.add (i32.const 65536) (i32.and (local.get $stream) (i32.const 1023))))

  (func (export "proxy_on_request_headers") (param $stream i32) (param i32 i32) (result i32)
    (global.set $used (global.get $room))
    (i32.store8 (call $slot (local.get $stream)) (global.get $vary))
    (if (call $header (i32.const 0) (i32.const 16) (i32.const 6)) (then (return (i32.const 0))))
    (i32.store8 (call $slot (local.get $stream)) (global.get $deny))
    (if (i32.eqz (call $equal (i32.const 32) (i32.const 19))) (then (return (i32.const 0))))
    (if (call $header (i32.const 0) (i32.const 64) (i32.const 29))
      (then
        (i32.store8 (call $slot (local.get $stream)) (global.get $allow))
        (drop (call $increment (i32.load (i32.const 8)) (i64.const 1)))
        (return (i32.const 0))))
    (i32.store8 (call $slot (local.get $stream)) (global.get $nothing))
    (drop (call $pairs (i32.const 0) (i32.const 0) (i32.const 4)))
    (drop (call $increment (i32.load (i32.const 12)) (i64.const 1)))
    (drop (call $reply (i32.const 204) (i32.const 160) (i32.const 23) (i32.const 0) (i32.const 0)
      (i32.const 512) (i32.const 276) (i32.const -1)))
    (i32.const 4))

  (func (export "proxy_on_response_headers") (param $stream i32) (param i32 i32) (result i32) (local $needs i32)
    (global.set $used (global.get $room))
    (local.set $needs (i32.load8_u (call $slot (local.get $stream))))
    (if (i32.eq (local.get $needs) (global.get $nothing)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $needs) (global.get $vary))
      (then
        (if (i32.eqz (call $header (i32.const 2) (i32.const 128) (i32.const 4))) (then (return (i32.const 0)))))
      (else
        (drop (call $pairs (i32.const 2) (i32.const 0) (i32.const 4)))
        (if (call $edited) (then (return (i32.const 0))))))
    (if (i32.eq (local.get $needs) (global.get $allow)) (then
      (drop (call $add (i32.const 2) (i32.const 96) (i32.const 27) (i32.const 32) (i32.const 19)))))
    (drop (call $add (i32.const 2) (i32.const 128) (i32.const 4) (i32.const 144) (i32.const 6)))
    (i32.const 0)))
