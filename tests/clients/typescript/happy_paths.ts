// Calls the gateway by the client that openapi-typescript makes from docs/openapi.json. Prints what it saw, as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { env: { GATEWAY_URL: string; GATEWAY_KEY: string } };

type NewJob = components["schemas"]["Job"];
type Job = components["schemas"]["ShownJob"];
type Accepted = components["schemas"]["Accepted"];

const client = createClient<paths>({
  baseUrl: process.env.GATEWAY_URL,
  headers: { Authorization: `Bearer ${process.env.GATEWAY_KEY}` },
});
const configuration = "9dd58237-2d41-4c55-9f7e-6b2a3f0c1d11";

/** Return the data of an answer. Throws an error with the gateway's own text. */
function data<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status}: ${JSON.stringify(answer.error)}`);
  return answer.data;
}

async function enqueue(job: NewJob, key?: string): Promise<Accepted> {
  const headers = key === undefined ? {} : { "Idempotency-Key": key };
  const found = data(await client.POST("/v1/jobs", { body: job, params: { header: headers } }));
  if (typeof found === "string" || Array.isArray(found)) throw new Error("expected the answer to one job");
  return found;
}

async function shown(id: string, wait: number): Promise<Job> {
  return data(await client.GET("/v1/jobs/{job_id}", { params: { path: { job_id: id }, query: { wait } } }));
}

const ended = (id: string): Promise<Job> => shown(id, 30);

/** Return a job when its answer is lost. It has not ended, since a person settles it, so `wait` alone would wait on. */
async function lost(id: string): Promise<Job> {
  for (let tries = 0; tries < 30; tries++) {
    const job = await shown(id, 1);
    if (job.state === "unknown") return job;
  }
  throw new Error("its answer is not lost");
}

async function link(): Promise<object> {
  const job = { kind: "personal_link", region: "eu", configuration, record: { Email: "ann@example.com" } } as const;
  const accepted = await enqueue(job, "ticket-1");
  const again = await enqueue(job, "ticket-1");
  const delivered = await ended(accepted.id);
  const first = delivered.attempts[0];
  const other = await client.POST("/v1/jobs", { body: { ...job, region: "us" } as const });
  return {
    duplicate: [accepted.duplicate, again.duplicate, again.id === accepted.id],
    link: delivered.result?.["survey_link"],
    attempt: [first?.status, first?.verdict],
    other: other.response.headers.get("Location"),
  };
}

async function refusals(): Promise<object> {
  const wrong = await client.POST("/v1/jobs", { body: { kind: "record", region: "eu", configuration, record: {} } });
  const absent = await client.GET("/v1/jobs/{job_id}", { params: { path: { job_id: "0".repeat(32) } } });
  return { wrong: wrong.error?.errors?.map((one) => one.field), absent: absent.error?.status };
}

async function many(): Promise<object> {
  const more = { batch: "spring", labels: ["ts"] };
  const row = (Email: string): NewJob => ({ kind: "record", region: "eu", configuration, record: { Email }, ...more });
  const array = data(await client.POST("/v1/jobs", { body: [row("b@example.com"), row("c@example.com")] }));
  const lines = [row("d@example.com"), { kind: "record" }].map((one) => JSON.stringify(one)).join("\n");
  const streamed = await client.POST("/v1/jobs", {
    body: lines,
    bodySerializer: (text) => text as string,
    headers: { "Content-Type": "application/x-ndjson" },
    parseAs: "text",
  });
  const rows = String(data(streamed)).trim().split("\n");
  const parsed = rows.map((text) => JSON.parse(text) as components["schemas"]["Line"]);
  const ids = [...(array as Accepted[]).map((one) => one.id), parsed[0]?.id ?? ""];
  const states = await Promise.all(ids.map(async (id) => (await ended(id)).state));
  const batch = data(await client.GET("/v1/batches/{name}", { params: { path: { name: "spring" } } }));
  const page = data(await client.GET("/v1/jobs", { params: { query: { label: "ts", limit: 2 } } }));
  return {
    states,
    refused: parsed[1]?.errors?.map((one) => one.field),
    batch: [batch.total, batch.states["delivered"], batch.canary],
    page: [page.jobs.length, typeof page.next],
  };
}

async function changes(): Promise<object> {
  const later = new Date(Date.now() + 3_600_000).toISOString();
  const record = { kind: "record", region: "eu", configuration, record: { Email: "e@example.com" } } as const;
  const scheduled = await enqueue({ ...record, deliver_at: later });
  const cancelled = data(await client.POST("/v1/jobs/{job_id}/cancel", { params: { path: { job_id: scheduled.id } } }));
  const dead = await ended((await enqueue({ ...record, record: { Email: "" } })).id);
  const reason = "the address was missing";
  const replayed = data(
    await client.POST("/v1/jobs/{job_id}/replay", { params: { path: { job_id: dead.id } }, body: { reason } }),
  );
  const cut = await enqueue({ ...record, record: { Email: "cut-after@example.com" }, on_unknown: "hold" });
  const unknown = await lost(cut.id);
  const settled = data(
    await client.POST("/v1/jobs/{job_id}/settle", {
      params: { path: { job_id: cut.id } },
      body: { as: "delivered", reason: "seen at CustomerGauge" },
    }),
  );
  const states = [unknown.state, settled.state];
  return { cancelled: cancelled.state, dead: dead.verdict, replayed: replayed.id === dead.id, states_of_lost: states };
}

async function operating(): Promise<object> {
  const hold = data(await client.POST("/v1/holds", { body: { region: "us", reason: "maintenance" } }));
  const holds = data(await client.GET("/v1/holds", {})).holds.map((one) => [one.id, one.reason]);
  const lifted = await client.DELETE("/v1/holds/{hold_id}", { params: { path: { hold_id: hold.id } } });
  const status = data(await client.GET("/v1/status", { params: { query: { region: "eu" } } })).regions;
  const lanes = data(await client.GET("/v1/uploads", {})).lanes.map((one) => one.region);
  const ready = data(await client.GET("/readyz", {})).regions;
  return { holds, lifted: lifted.response.status, workers: status[0]?.workers, lanes, ready };
}

async function bulk(): Promise<object> {
  const content = new Blob(["Email\nf@example.com\n"]);
  const file = { file: "march.csv", region: "eu", family: "transactional" } as const;
  const queued = data(
    await client.POST("/v1/files", {
      body: file,
      bodySerializer: (body) => {
        const form = new FormData();
        for (const [name, value] of Object.entries(body)) {
          if (name === "file") form.set(name, content, file.file);
          else form.set(name, String(value));
        }
        return form;
      },
    }),
  );
  const wanted = { action: "replay", region: "eu", filter: { state: "dead" } } as const;
  const tried = data(await client.POST("/v1/operations", { body: { ...wanted, dry_run: true } }));
  const started = data(await client.POST("/v1/operations", { body: wanted }));
  if (!("id" in started)) throw new Error("this is no dry run: expected an operation");
  const operation = data(
    await client.GET("/v1/operations/{operation_id}", { params: { path: { operation_id: started.id } } }),
  );
  const entries = data(await client.GET("/v1/audit", { params: { query: { limit: 200 } } })).entries;
  const batches = data(await client.GET("/v1/batches", {})).batches.map((one) => one.batch);
  const operations = data(await client.GET("/v1/operations", {})).operations.map((one) => one.id === operation.id);
  const webhooks = data(await client.GET("/v1/webhooks", {})).webhooks.length;
  const actions = [...new Set(entries.map((one) => one.action))].sort();
  return { parts: queued.parts.length, dry_run: "id" in tried, actions, batches, operations, webhooks };
}

const found = [await link(), await refusals(), await many(), await changes(), await operating(), await bulk()];
console.log(JSON.stringify(Object.assign({}, ...found)));
