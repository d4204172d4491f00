-- Lists of a hold or streak that are short and have no value twice.

-- Return the index of a value in a list; nil if it is not in the list.
local function index_of(list, value)
  for i, one in ipairs(list) do
    if one == value then return i end
  end
end

-- Move or append a value to the end of a list without duplicates; remove the first value of a list longer than `most`.
local function remember(list, value, most)
  local index = index_of(list, value)
  if index then table.remove(list, index) end
  list[#list + 1] = value
  if #list > most then table.remove(list, 1) end
end
