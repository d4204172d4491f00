-- Delete an endpoint with its secrets and with all events that wait for it.
-- KEYS  prefix
-- ARGV  id
-- RETURN 1; 0 if there is no such endpoint

redis.call('HDEL', K.webhook_secrets, ARGV[1])
redis.call('UNLINK', F.outbox .. ARGV[1], F.events .. ARGV[1], F.given_up .. ARGV[1], F.webhook .. ARGV[1])
return redis.call('HDEL', K.webhooks, ARGV[1])
