-- The first part of each script. `ledger/scripts.py` builds a script of these constants, this file, the library files that
-- the script names after WITH (before each of them those that it names itself), and the script:
--   K, F   names of keys and of families of keys (keys.py), with PREFIX, which KEYS[1] names
--   older()  the prefix of versions without namespaces; KEYS[1] itself for other namespaces than the default
--   KNOWS  the schema that this version knows (keys.py)
--   LEGAL  all 'from>to', separated by blanks (states.py)
--   NEEDS  kind -> credential that it needs (jobs)
--   ENDPOINTS  kind -> its family of endpoints (jobs)
--   BELL   a Celery message with placeholders; DELIVER  the name of the task that delivers (bell.py)
-- KEYS[2] is the queue of bells, KEYS[3] the queue of urgent bells.
-- All times are by Redis' clock, never by a worker's.

-- A ledger of a version without namespaces keeps its old names until `gaugepost move`, because processes of that version may
-- still use it.
local schema = redis.call('GET', PREFIX .. 'schema')
if not schema and redis.call('EXISTS', PREFIX .. 'stamp') == 0 then
  local known = redis.call('EXISTS', older() .. 'schema')
  if known + redis.call('EXISTS', older() .. 'stamp') > 0 then PREFIX = older() end
  schema = redis.call('GET', K.schema)
end

-- Refuse a ledger with a newer schema, and one that was moved to another Redis (relocation.py).
schema = schema or '0'
if string.find(schema, '^renaming') then
  return redis.error_reply('LEDGERCLOSED `gaugepost move` is renaming the keys of this region: try again')
elseif not tonumber(schema) then
  return redis.error_reply('LEDGERCLOSED this region has moved: set GAUGEPOST_REDIS_URL to where it is now')
end
schema = tonumber(schema)
if schema > KNOWS.schema then
  return redis.error_reply('LEDGERCLOSED the ledger has schema ' .. schema .. ', this gaugepost knows ' .. KNOWS.schema
    .. ': upgrade it')
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Return a whole number as text. Lua's own format is 1.76e+12.
local function whole(number) return string.format('%.0f', number) end

-- When Redis is out of memory, it refuses a script whose first write needs memory. Scripts that work off jobs must still run,
-- and so must operators' commands. They begin with a write that needs none.
local function allow_oom() redis.call('ZREM', K.leases, '') end
