-- End all sessions and one-time links of a person in this region.
-- WITH  sessions
-- KEYS  prefix
-- ARGV  hash of the name, the longest life of a session in ms
-- RETURN 1

allow_oom()
end_sessions(ARGV[1], ARGV[2])
return 1
