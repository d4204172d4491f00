for (const name of ["GATEWAY_URL", "GATEWAY_KEY"]) if (!process.env[name]) throw new Error(`set ${name}`);
async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${process.env.GATEWAY_KEY}`, "Content-Type": "application/json" };
  const answer = await fetch(process.env.GATEWAY_URL + path, { headers, ...options });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}
const more = { record: { Email: "joe.doe@example.com" }, idempotency_key: "ticket-991" };
const job = { kind: "personal_link", region: "eu", configuration: "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11", ...more };
const { id } = await call("/v1/jobs", { method: "POST", body: JSON.stringify(job) });
const { state, result } = await call(`/v1/jobs/${id}?wait=30`);
console.log(result?.survey_link ?? state);
