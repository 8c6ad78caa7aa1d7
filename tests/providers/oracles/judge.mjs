// Reads one JSON object a line: {library, action: "verify" | "sign", secrets, headers, body_base64, now_seconds}.
// Writes one JSON line for each: {accepted, error} or {headers}. An exception of the library is a refusal with its text.

import { createInterface } from "node:readline";
import { Readable } from "node:stream";

import { sign as signGithub, verifyWithFallback } from "@octokit/webhooks-methods";
import "@shopify/shopify-api/adapters/node";
import { shopifyApi } from "@shopify/shopify-api";
import { Webhook } from "standardwebhooks";

function standard({ action, secrets, headers, text, now_seconds }) {
  if (action === "sign") {
    const signature = new Webhook(secrets[0]).sign(headers["webhook-id"], new Date(now_seconds * 1000), text);
    return { headers: { ...headers, "webhook-timestamp": String(now_seconds), "webhook-signature": signature } };
  }
  new Webhook(secrets[0]).verify(text, headers, { jsonParse: false });
  return { accepted: true };
}

async function octokit({ action, secrets, headers, text }) {
  if (action === "sign") {
    return { headers: { ...headers, "x-hub-signature-256": await signGithub(secrets[0], text) } };
  }
  const signature = headers["x-hub-signature-256"];
  return { accepted: await verifyWithFallback(secrets[0], text, signature, secrets.slice(1)) };
}

const silent = { log: () => undefined, level: 0, httpRequests: false, timestamps: false };

async function shopify({ secrets, headers, text }) {
  const api = shopifyApi({
    apiKey: "key",
    apiSecretKey: secrets[0],
    apiVersion: "2026-01",
    hostName: "app.example",
    isEmbeddedApp: false,
    logger: silent,
  });
  const rawRequest = Object.assign(Readable.from([]), { method: "POST", url: "/webhooks/shopify", headers });
  const verdict = await api.webhooks.validate({ rawBody: text, rawRequest, rawResponse: {} });
  return { accepted: verdict.valid, error: verdict.reason ?? "" };
}

const libraries = { standard, octokit, shopify };
const realNow = Date.now;

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const text = Buffer.from(request.body_base64, "base64").toString("utf8");
  Date.now = () => request.now_seconds * 1000;
  let answer;
  try {
    answer = await libraries[request.library]({ ...request, text });
  } catch (error) {
    answer = { accepted: false, error: String(error) };
  }
  Date.now = realNow;
  process.stdout.write(JSON.stringify(answer) + "\n");
}
