-- release.lua: give up the lease of an empty lane, so that the next append rings.
-- KEYS    1 lease  2 stream  3 wake
-- ARGV    1 token
-- RETURN  1 released (or no longer ours)  0 an append slipped in: the lane is still ours
-- WHY     one step: between "empty" and "idle" no append may go unheard.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 1
end
if redis.call('XLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[3])
return 1
