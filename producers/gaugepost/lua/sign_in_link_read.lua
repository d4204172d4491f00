-- Read whom a one-time link signs in. It is not used up.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  hash of the link
-- RETURN the name of the user; '' if the link was used, or has ended

return user_of_link(ARGV[1]) or ''
