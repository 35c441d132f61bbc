-- delete: deletes dead letters for good.
--
-- Called by the API, POST dead/delete.
--
-- KEYS   1 d, 2 h (see accept.lua)
-- ARGV   ids, at most 100
-- Reply  { number of deleted dead letters }; other ids are ignored
-- Errors none of its own

-- @include lib/forget_dead.lua

return { forget_dead(KEYS[1], KEYS[2], ARGV) }
