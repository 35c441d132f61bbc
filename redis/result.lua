-- result: keeps what Bitrix answered to calls that nobody waited for, until the
-- caller asks or the time is over.
--
-- KEYS  one a call: STRING {b1c:NAME}:r:ID
-- ARGV  1 how long to keep them, ms; then one a call: JSON
-- Returns how many were kept.  Repeated, it changes nothing but the end of the
-- time.

for i = 1, #KEYS do
    redis.call('SET', KEYS[i], ARGV[i + 1], 'PX', ARGV[1])
end

return #KEYS
