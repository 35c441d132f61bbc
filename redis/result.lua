-- result: keeps the answers of Bitrix to kept calls until they expire.
--
-- Called when Bitrix has answered a kept call.
--
-- KEYS   one for each call: r:ID (see accept.lua)
-- ARGV   1 time to keep them, ms; then one for each call: JSON
-- Reply  number of results that were stored
-- Errors none of its own
--
-- If the script is repeated, only the time of expiry changes.

for i = 1, #KEYS do
    redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1])
end

return #KEYS
