import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.Base64;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

class Webhook {
  public static void main(String[] args) throws Exception {
    var mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").substring(6)), "HmacSHA256"));
    HttpServer.create(new InetSocketAddress("127.0.0.1", 8000), 0).createContext("/", call -> {
      var body = call.getRequestBody().readAllBytes();
      var time = call.getRequestHeaders().getFirst("webhook-timestamp");
      mac.update((call.getRequestHeaders().getFirst("webhook-id") + "." + time + ".").getBytes());
      var expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes();
      var signatures = Stream.of(String.valueOf(call.getRequestHeaders().getFirst("webhook-signature")).split(" "));
      var genuine = signatures.anyMatch(one -> MessageDigest.isEqual(one.getBytes(), expected))
          && Math.abs(Instant.now().getEpochSecond() - Long.parseLong(time)) < 300;
      if (genuine) System.out.println(new String(body, "UTF-8"));
      call.sendResponseHeaders(genuine ? 204 : 400, -1);
    }).getServer().start();
  }
}
