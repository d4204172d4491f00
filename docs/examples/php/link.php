<?php
function set(string $name): string { return getenv($name) ?: throw new Exception("set $name"); }
function call(string $path, array $options = []): array {
    $headers = ["Authorization: Bearer " . set("GATEWAY_KEY"), "Content-Type: application/json"];
    $http = $options + ["header" => $headers, "timeout" => 60, "ignore_errors" => true];
    $text = file_get_contents(set("GATEWAY_URL") . $path, false, stream_context_create(["http" => $http]));
    $body = json_decode($text, true, flags: JSON_THROW_ON_ERROR);
    return isset($body["detail"]) ? throw new Exception($body["detail"]) : $body; // an error has a detail
}
$job = ["kind" => "personal_link", "region" => "eu", "configuration" => "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11"];
$job += ["record" => ["Email" => "joe.doe@example.com"], "idempotency_key" => "ticket-991"];
$shown = call("/v1/jobs/" . call("/v1/jobs", ["method" => "POST", "content" => json_encode($job)])["id"] . "?wait=30");
echo $shown["result"]["survey_link"] ?? $shown["state"], "\n";
