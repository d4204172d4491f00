-- Write an event `webhook.test` for one endpoint, whatever events it wants.
-- WITH  events
-- KEYS  prefix
-- ARGV  id of the endpoint
-- RETURN id of the event; '' if there is no such endpoint, or if it is disabled, or if its outbox is full

allow_oom()
for _, one in ipairs(active_endpoints()) do
  if one.id == ARGV[1] then return put_event(one, 'webhook.test', {id = one.id}) or '' end
end
return ''
