-- Delete an endpoint with its secrets and with all events that wait for it.
-- KEYS  prefix
-- ARGV  id
-- RETURN 1; 0 if there is no such endpoint

redis.call('HDEL', K.webhook_secrets, ARGV[1])
for _, family in ipairs({F.untried, F.outbox, F.events, F.given_up, F.webhook}) do redis.call('UNLINK', family .. ARGV[1]) end
return redis.call('HDEL', K.webhooks, ARGV[1])
