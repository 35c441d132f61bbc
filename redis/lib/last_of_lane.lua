-- last_of_lane: the last follower of a lane.
--
-- Returns its element in the ZSET, or nil if the lane has no followers.

local function last_of_lane(f, lane)
    return redis.call('ZREVRANGEBYLEX', f, '(' .. lane .. ';',
                      '[' .. lane .. ':', 'LIMIT', 0, 1)[1]
end
