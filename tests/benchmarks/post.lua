-- Each request is a Statuspage payload of its own, 1.4 KB, so that every one is parsed, kept and printed.
local threads = 0
function setup(thread)
  threads = threads + 1
  thread:set("name", tostring(thread):match("0x%x+") .. threads)
end

local before = '{"meta":{"unsubscribe":"https://status.example.com/?unsubscribe=k3j2","documentation":"https://example.com/docs",'
  .. '"generated_at":"2025-11-03T14:32:00.603Z"},"page":{"id":"p4g3","status_indicator":"minor","status_description":"Partially '
  .. 'Degraded Service"},"incident":{"name":"Elevated error rates","status":"identified","created_at":"2025-11-03T14:30:00.507Z",'
  .. '"updated_at":"2025-11-03T14:32:TIME","monitoring_at":null,"resolved_at":null,"impact":"minor","shortlink":'
  .. '"https://stspg.io/1a2b3c","postmortem_body":null,"backfilled":false,"scheduled_for":null,"scheduled_until":null,"page_id":"p4g3",'
  .. '"incident_updates":[{"status":"identified","body":"A database that the API depends on answers slowly; a fix is being rolled out.",'
  .. '"created_at":"2025-11-03T14:31:TIME","updated_at":"2025-11-03T14:31:TIME","display_at":"2025-11-03T14:31:TIME",'
  .. '"affected_components":[{"code":"c0mp","name":"API","old_status":"operational","new_status":"degraded_performance"}],"id":"u1"}],'
  .. '"components":[{"status":"degraded_performance","name":"API","created_at":"2024-01-25T18:44:27.901Z","updated_at":'
  .. '"2025-11-03T14:30:27.901Z","position":2,"description":null,"showcase":true,"id":"c0mp","page_id":"p4g3","group_id":null}],"id":"'
local count = 0
local headers = { ["Content-Type"] = "application/json" }

-- `-- close` at the end of the command line: a new connection for each request, as providers connect.
function init(arguments)
  if arguments[1] == "close" then
    headers["Connection"] = "close"
  end
end

function request()
  count = count + 1
  local body = before:gsub("TIME", string.format("%06.3fZ", count % 60000 / 1000))
  return wrk.format("POST", "/webhook/statuspage", headers, body .. name .. "-" .. os.time() .. "-" .. count .. '"}}')
end
