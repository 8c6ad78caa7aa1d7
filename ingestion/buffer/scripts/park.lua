-- park.lua: give up the lease of a lane that a person paused, entries and all.
-- KEYS    1 lease  2 wake
-- ARGV    1 token  2 wake, ms
-- RETURN  1 given up  0 no longer ours
-- WHY     not release.lua, which keeps a lane that has entries; the short wake keeps appends from ringing for every one of them.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
redis.call('DEL', KEYS[1])
return 1
