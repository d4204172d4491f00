import static java.lang.Long.parseLong;
import static java.lang.Math.abs;
import static java.security.MessageDigest.isEqual;
import static java.time.Instant.now;
import static java.util.Objects.requireNonNull;

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.Base64;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Webhook {
  public static void main(String[] args) throws Exception {
    var mac = Mac.getInstance("HmacSHA256");
    var secret = requireNonNull(System.getenv("WEBHOOK_SECRET"), "set WEBHOOK_SECRET").substring(6);
    mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret), "HmacSHA256"));
    HttpServer.create(new InetSocketAddress("127.0.0.1", 8000), 0).createContext("/", call -> {
      var body = call.getRequestBody().readAllBytes();
      var time = parseLong(call.getRequestHeaders().getFirst("webhook-timestamp"));
      mac.update((call.getRequestHeaders().getFirst("webhook-id") + "." + time + ".").getBytes());
      var expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes();
      var sent = Stream.of(String.valueOf(call.getRequestHeaders().getFirst("webhook-signature")).split(" "));
      var genuine = sent.anyMatch(one -> isEqual(one.getBytes(), expected)) && abs(now().getEpochSecond() - time) < 300;
      if (genuine) System.out.println(new String(body, "UTF-8"));
      call.sendResponseHeaders(genuine ? 204 : 400, -1);
    }).getServer().start();
  }
}
