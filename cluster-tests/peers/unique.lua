-- Requests of which no two are for the same URL: what wrk was given, and a number.
local number = 0
function request()
   number = number + 1
   return wrk.format(nil, wrk.path .. "/" .. number)
end
