import static java.net.http.HttpResponse.BodyHandlers.ofString;
import static java.util.Objects.requireNonNull;

import java.net.URI;
import java.net.http.*;
import java.net.http.HttpRequest.BodyPublishers;

class Link {
  public static void main(String[] args) throws Exception {
    var gateway = URI.create(requireNonNull(System.getenv("GATEWAY_URL"), "set GATEWAY_URL"));
    var key = requireNonNull(System.getenv("GATEWAY_KEY"), "set GATEWAY_KEY");
    var job = """
      {"kind": "personal_link", "region": "eu", "configuration": "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11",
       "record": {"Email": "joe.doe@example.com"}, "idempotency_key": "ticket-991"}""";
    var call = HttpRequest.newBuilder(gateway.resolve("/v1/jobs")).header("Content-Type", "application/json");
    call.header("Authorization", "Bearer " + key).POST(BodyPublishers.ofString(job));
    var accepted = HttpClient.newHttpClient().send(call.build(), ofString());
    var path = accepted.headers().firstValue("Location").orElseThrow(() -> new Exception(accepted.body()));
    var shown = HttpClient.newHttpClient().send(call.GET().uri(gateway.resolve(path + "?wait=30")).build(), ofString());
    System.out.println(shown.body().replaceAll(".*\"survey_link\":\"([^\"]*)\".*", "$1"));
  }
}
