import { createServer } from "node:http";
import { createHmac, timingSafeEqual } from "node:crypto";

if (!process.env.WEBHOOK_SECRET) throw new Error("set WEBHOOK_SECRET");
const secret = Buffer.from(process.env.WEBHOOK_SECRET.replace("whsec_", ""), "base64");
createServer((request, response) => {
  const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signatures = "" } = request.headers;
  let body = "";
  request.setEncoding("utf8").on("data", (text) => (body += text)).on("end", () => {
    const expected = Buffer.from("v1," + createHmac("sha256", secret).update(`${id}.${time}.${body}`).digest("base64"));
    const fits = (one) => one.length === expected.length && timingSafeEqual(Buffer.from(one), expected);
    const genuine = signatures.split(" ").some(fits) && Math.abs(Date.now() / 1000 - time) < 300;
    if (genuine) console.log(id, body);
    response.writeHead(genuine ? 204 : 400).end();
  });
}).listen(8000, "127.0.0.1");
