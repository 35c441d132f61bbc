-- next_of_lane: the first follower of a lane, which becomes its head.
--
-- Returns the follower's element in the ZSET, its id, and the new value of
-- l:LANE; or nothing if the lane has no followers.  Changes nothing, so that
-- ack can write for all its lanes at once.

local function next_of_lane(f, lane)
    local two = redis.call('ZRANGEBYLEX', f, '[' .. lane .. ':',
                           '(' .. lane .. ';', 'LIMIT', 0, 2)
    if two[1] then
        local id = two[1]:sub(#lane + 19)
        return two[1], id, two[2] and id .. '+' or id
    end
end
