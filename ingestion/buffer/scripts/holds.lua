-- holds.lua: which of these sequences have their entry on the lane.
-- KEYS    1 stream
-- ARGV    sequences
-- RETURN  one number a sequence: 1 there, 0 not
-- WHY     XRANGE alone would send the entries' bytes, of which there may be megabytes.
local held = {}
for i = 1, #ARGV do
  held[i] = #redis.call('XRANGE', KEYS[1], ARGV[i] .. '-0', ARGV[i] .. '-0')
end
return held
