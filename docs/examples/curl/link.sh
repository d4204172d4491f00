set -eu
call() { path=$1; shift; curl -sS --fail-with-body "$GATEWAY_URL$path" -H "Authorization: Bearer $GATEWAY_KEY" "$@"; }

accepted=$(call /v1/jobs -H "Content-Type: application/json" -H "Idempotency-Key: ticket-991" -d '{
  "kind": "personal_link", "region": "eu", "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11",
  "record": {"Email": "joe.doe@example.com"}}') || { echo "$accepted" >&2; exit 1; }
id=$(echo "$accepted" | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/')
call "/v1/jobs/$id?wait=30" | sed 's/.*"survey_link":"\([^"]*\)".*/\1/'
