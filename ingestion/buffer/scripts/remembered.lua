-- remembered.lua: a page of the identities that append.lua remembers, oldest first, each with its `seen` value.
-- KEYS    1 list of the identities   2 string: how many left the list's old end
-- ARGV    1 number of the first one wanted, from 0 since the list began   2 count, at most   3 what `seen` keys begin with
-- RETURN  {number of the list's oldest, number after its newest, number of the page's first, identities, values or nil}
-- WHY     one step: between two commands appends may drop the old end, and every place would be another's.
local dropped = tonumber(redis.call('GET', KEYS[2]) or 0)
local length = redis.call('LLEN', KEYS[1])
local first = math.max(tonumber(ARGV[1]), dropped)
local identities = redis.call('LRANGE', KEYS[1], first - dropped, first - dropped + tonumber(ARGV[2]) - 1)
local values = {}
if #identities > 0 then
  local seen_keys = {}
  for i = 1, #identities do
    seen_keys[i] = ARGV[3] .. identities[i]
  end
  values = redis.call('MGET', unpack(seen_keys))
end
return { dropped, dropped + length, first, identities, values }
