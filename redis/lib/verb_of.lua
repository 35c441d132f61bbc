-- verb_of: the verb in the field k:KEY of an identity that has opposites.
--
-- Returns "add0", "ed17" or "de1e", see accept.lua, or false.

local function verb_of(kf)
    local verb = kf:sub(23, 26)
    return (verb == 'add0' or verb == 'ed17' or verb == 'de1e') and verb
end
