// From the queue to committed rows: fifty jobs at a time, one prepared insert and one commit per job.

import { UnrecoverableError, Worker } from "bullmq";
import pg from "pg";

import { required } from "./environment.js";
import { connect, QUEUE_NAME } from "./queue.js";

const CONCURRENCY_COUNT = 50;
// Of 10, 20 and 40 none was faster by more than the noise; 20 leaves PostgreSQL's connections for others.
const POOL_MAX_COUNT = 20;
// SQLSTATE classes "data exception" and "program limit exceeded": the row is at fault, so a retry cannot help.
const HOPELESS_CLASSES = ["22", "54"];

required("PGHOST");
required("PGUSER");
required("PGDATABASE");

const pool = new pg.Pool({ max: POOL_MAX_COUNT, idleTimeoutMillis: 0, connectionTimeoutMillis: 10_000 });
pool.on("error", (error) => process.stderr.write(`peer: postgresql: ${error.message}\n`));

const INSERT_EVENT = {
  name: "insert-peer-event", // named, so each connection parses and plans it once
  text: `INSERT INTO peer_event (message_id, event_type, ordering_key, request_id, payload, received_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (message_id, event_type) DO NOTHING`,
};

/** The event of this job is committed, by this call or an earlier one. Raises to have the job tried again. */
async function commit({ data }) {
  const values = [data.message_id, data.event_type, data.ordering_key, data.request_id, data.body, data.received_at];
  try {
    await pool.query({ ...INSERT_EVENT, values });
  } catch (error) {
    if (HOPELESS_CLASSES.includes(error.code?.slice(0, 2))) throw new UnrecoverableError(error.message);
    throw error;
  }
}

const redis = connect({ maxRetriesPerRequest: null }); // a worker waits for Redis, however long it takes
await pool.query("SELECT FROM peer_event LIMIT 0"); // a missing table is said now, not once per job
const worker = new Worker(QUEUE_NAME, commit, { connection: redis, concurrency: CONCURRENCY_COUNT });
worker.on("error", () => {}); // the client reports it; without a listener it would end the process
worker.on("failed", (job, error) => {
  if (job?.finishedOn) process.stderr.write(`peer: job ${job.id} failed for good: ${error.message}\n`);
});

async function stop() {
  await worker.close(); // lets the jobs in hand finish
  await pool.end();
  redis.disconnect();
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);

await worker.waitUntilReady();
process.stdout.write("ready\n");
