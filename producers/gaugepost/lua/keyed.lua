-- Find the job of an idempotency key.
-- KEYS  prefix
-- ARGV  digest of the key
-- RETURN id of the job; '' = no job was enqueued with this key, or its life is over. The job itself may be deleted

return string.match(redis.call('GET', F.idem .. ARGV[1]) or '', '^[^:]*')
