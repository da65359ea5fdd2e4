-- The same policy for Envoy's Lua filter. The two functions share nothing but the
-- stream's metadata, and the answer of respond() passes the second one, too.
local origins = { ["https://foo.example"] = true }
local methods = { GET = true, HEAD = true, POST = true }

local function allows_headers(list)
  for name in string.gmatch(list or "", "[^,%s]+") do
    if string.lower(name) ~= "x-pingother" then return false end
  end
  return true
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local origin = headers:get("origin")
  if origin == nil then return end
  local method = headers:get("access-control-request-method")
  if method == nil or headers:get(":method") ~= "OPTIONS" then
    if origins[origin] then
      handle:streamInfo():dynamicMetadata():set("cors", "origin", origin)
    end
    return
  end
  local answer = {
    [":status"] = "403",
    ["vary"] = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
  }
  if origins[origin] and methods[method] and allows_headers(headers:get("access-control-request-headers")) then
    answer[":status"] = "204"
    answer["access-control-allow-origin"] = origin
    answer["access-control-allow-methods"] = "GET, POST"
    answer["access-control-allow-headers"] = "x-pingother"
    answer["access-control-max-age"] = "86400"
  end
  handle:respond(answer)
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if not string.find(headers:get("vary") or "", "Origin", 1, true) then
    headers:add("vary", "Origin")
  end
  local metadata = handle:streamInfo():dynamicMetadata():get("cors")
  if metadata ~= nil then
    headers:replace("access-control-allow-origin", metadata["origin"])
  end
end
