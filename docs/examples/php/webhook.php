<?php
http_response_code(400); // until the request has proved genuine
$secret = base64_decode(substr(getenv("WEBHOOK_SECRET") ?: throw new Exception("set WEBHOOK_SECRET"), 6));
$time = $_SERVER["HTTP_WEBHOOK_TIMESTAMP"] ?? "";
$body = file_get_contents("php://input");
$signed = ($_SERVER["HTTP_WEBHOOK_ID"] ?? "") . ".$time.$body";
$expected = "v1," . base64_encode(hash_hmac("sha256", $signed, $secret, true));
$signatures = explode(" ", $_SERVER["HTTP_WEBHOOK_SIGNATURE"] ?? "");
$fits = array_filter($signatures, fn (string $one): bool => hash_equals($expected, $one));
if ($fits && abs(time() - (int) $time) < 300) {
    file_put_contents("php://stdout", "{$_SERVER["HTTP_WEBHOOK_ID"]} $body\n");
    http_response_code(204);
}
