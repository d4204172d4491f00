using System.Net;
using System.Security.Cryptography;
using System.Text;
using static System.Security.Cryptography.CryptographicOperations;

var secret = Convert.FromBase64String(Environment.GetEnvironmentVariable("WEBHOOK_SECRET").Substring(6));
Func<HttpListenerContext, Task> answer = async call => {
    Func<string, string> header = name => call.Request.Headers["webhook-" + name] ?? "";
    var body = await new StreamReader(call.Request.InputStream).ReadToEndAsync();
    var signed = Encoding.UTF8.GetBytes(header("id") + "." + header("timestamp") + "." + body);
    var expected = Encoding.UTF8.GetBytes("v1," + Convert.ToBase64String(new HMACSHA256(secret).ComputeHash(signed)));
    var fits = header("signature").Split(' ').Any(one => FixedTimeEquals(Encoding.UTF8.GetBytes(one), expected));
    var genuine = fits && Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - long.Parse(header("timestamp"))) < 300;
    if (genuine) Console.WriteLine(header("id") + " " + body);
    using (call.Response) call.Response.StatusCode = genuine ? 204 : 400;
};
var listener = new HttpListener { Prefixes = { "http://127.0.0.1:8000/" } };
for (listener.Start(); ;) _ = answer(await listener.GetContextAsync());
