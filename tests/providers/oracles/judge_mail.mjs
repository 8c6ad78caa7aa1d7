// Reads one JSON object a line: {library, secrets, headers, body_base64}. Writes {accepted, error} for each.
// An exception of the library is a refusal with its text.

import https from "node:https";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

import sendgridLibrary from "@sendgrid/eventwebhook";
import MessageValidator from "sns-validator";

function sendgrid({ secrets, headers, body }) {
  const webhook = new sendgridLibrary.EventWebhook();
  const key = webhook.convertPublicKeyToECDSA(secrets[0]);
  const { "x-twilio-email-event-webhook-signature": signature, "x-twilio-email-event-webhook-timestamp": timestamp } =
    headers;
  return { accepted: webhook.verifySignature(key, body, signature, timestamp) };
}

// The library fetches the certificate of each URL once; here every URL answers with the certificate of the question.
let certificate = "";
https.get = (_url, answer) => {
  const response = Readable.from([Buffer.from(certificate)]);
  response.statusCode = 200;
  answer(response);
  return { on: () => undefined };
};

function sns({ secrets, body }) {
  certificate = secrets[0];
  return new Promise((resolve) => {
    new MessageValidator().validate(body.toString("utf8"), (error) =>
      resolve({ accepted: !error, error: String(error ?? "") }),
    );
  });
}

const libraries = { sendgrid, sns };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await libraries[request.library]({ ...request, body: Buffer.from(request.body_base64, "base64") });
  } catch (error) {
    answer = { accepted: false, error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
