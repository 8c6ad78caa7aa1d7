// POST /webhooks/default: bearer, signature, one job per event, 202. The job is on disk when the 202 leaves,
// because Redis writes its log before it answers (appendfsync always).

import { isUtf8 } from "node:buffer";
import { hash, randomUUID } from "node:crypto";

import { Queue } from "bullmq";
import Fastify from "fastify";

import { port, required } from "./environment.js";
import { connect, JOB_OPTIONS, QUEUE_NAME } from "./queue.js";
import { bearerCheck, signatureCheck } from "./verify.js";

const BODY_LIMIT_BYTES = 1024 * 1024;
const ACCEPTED = {
  type: "object",
  properties: { request_id: { type: "string" }, status: { type: "string" } },
};
const REFUSED = { type: "object", properties: { code: { type: "string" } } };

const listenPort = port("PORT");
const bearerIsRight = bearerCheck(required("WEBHOOK_BEARER_KEY"));
const signatureRefusal = signatureCheck(required("WEBHOOK_HMAC_SECRET"));

// A provider is told 503 at once where Redis is away, instead of waiting in a queue of ours.
const redis = connect({ enableOfflineQueue: false, maxRetriesPerRequest: 1 });
const queue = new Queue(QUEUE_NAME, { connection: redis, defaultJobOptions: JOB_OPTIONS });
queue.on("error", () => {}); // the client reports it; without a listener it would end the process

const app = Fastify({ logger: false, bodyLimit: BODY_LIMIT_BYTES, requestTimeout: 10_000 });

// The signature is over the bytes as they came, so nothing may parse them first.
app.removeAllContentTypeParsers();
app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

app.post("/webhooks/default", {
  schema: { response: { 202: ACCEPTED, "4xx": REFUSED, 503: REFUSED } },
  onRequest: checkBearer,
  preHandler: checkSignature,
  handler: accept,
});

app.setErrorHandler((error, _request, reply) => {
  const status = error.statusCode ?? 500;
  reply.code(status).send({ code: status < 500 ? error.code : "internal_error" });
});

async function checkBearer(request, reply) {
  if (!bearerIsRight(request.headers.authorization)) return reply.code(401).send({ code: "bearer_wrong" });
}

async function checkSignature(request, reply) {
  const refusal = signatureRefusal({
    timestamp: request.headers["x-webhook-timestamp"],
    signature: request.headers["x-webhook-signature"],
    body: request.body ?? Buffer.alloc(0),
    nowSeconds: Math.floor(Date.now() / 1000),
  });
  if (refusal) return reply.code(401).send({ code: refusal });
}

async function accept(request, reply) {
  const receivedAtMs = Date.now();
  const event = eventIn(request.body);
  if (!event) return reply.code(400).send({ code: "event_malformed" });
  const requestId = randomUUID();
  const job = {
    message_id: event.id,
    event_type: event.type,
    ordering_key: event.ordering_key,
    request_id: requestId,
    received_at: new Date(receivedAtMs).toISOString(),
    body: request.body.toString(), // text, so that the worker hands it on without parsing it once more
  };
  const jobId = hash("sha256", `${event.id}\0${event.type}`);
  try {
    await queue.add(event.type, job, { jobId });
  } catch {
    return reply.code(503).header("retry-after", "1").send({ code: "queue_unavailable" });
  }
  return reply.code(202).send({ request_id: requestId, status: "accepted" });
}

/** The event in a body, or null where it is not JSON or lacks a name that the table needs. */
function eventIn(body) {
  if (!body || !isUtf8(body)) return null;
  try {
    const event = JSON.parse(body);
    const named = [event.id, event.type, event.ordering_key].every((name) => typeof name === "string" && name !== "");
    return named ? event : null;
  } catch {
    return null;
  }
}

async function stop() {
  await app.close();
  await queue.close();
  redis.disconnect();
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);

await queue.waitUntilReady();
await app.listen({ host: "127.0.0.1", port: listenPort, backlog: 1024 });
process.stdout.write("ready\n");
