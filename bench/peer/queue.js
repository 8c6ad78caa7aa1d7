// The queue between ingress and worker: its name, its connection and how long it remembers a job.

import { Redis } from "ioredis";

import { refuse } from "./environment.js";

export const QUEUE_NAME = "peer";

export const JOB_OPTIONS = {
  // Only for trouble with the database: about three minutes of it are waited out. Bad data fails at once (worker.js).
  attempts: 10,
  backoff: { type: "exponential", delay: 200, jitter: 0.5 },
  // Seconds. While a finished job is kept, BullMQ drops a second one of its id; later the unique constraint does.
  removeOnComplete: { age: 3600 },
  removeOnFail: { age: 7 * 24 * 3600 }, // seconds; kept for a person to look at
};

/** A client for REDIS_SOCKET (a path) or REDIS_URL (redis://, rediss:// or unix://). */
export function connect(options) {
  const client = new Redis(address(), options);
  client.on("error", (error) => process.stderr.write(`peer: redis: ${error.message}\n`));
  return client;
}

function address() {
  const url = process.env.REDIS_URL;
  if (process.env.REDIS_SOCKET) return process.env.REDIS_SOCKET;
  if (!url) refuse("set REDIS_SOCKET (a path) or REDIS_URL.");
  if (!url.startsWith("unix:")) return url;
  const { pathname, searchParams } = new URL(url);
  return `${pathname}?db=${searchParams.get("db") ?? 0}`; // ioredis knows paths, not the unix scheme
}
