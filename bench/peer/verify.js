// Is this POST from the provider, and fresh? Pure: header values and bytes in, a refusal code or null out.

import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";

const PAST_SECONDS = 300;
const FUTURE_SECONDS = 60;

/** A check of the Authorization header, in time that depends on the header's length only. */
export function bearerCheck(key) {
  const expected = Buffer.from(`Bearer ${key}`);
  return (header) => {
    const given = Buffer.from(header ?? "", "latin1");
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
}

/** A check of HMAC-SHA256 over "<timestamp>.<body>", sent as "sha256=<hex>". Returns null or a code. */
export function signatureCheck(secret) {
  const key = createSecretKey(secret, "utf8"); // once: importing the key costs more than the digest
  return ({ timestamp, signature, body, nowSeconds }) => {
    if (!/^\d{1,12}$/.test(timestamp ?? "")) return "timestamp_malformed";
    const ageSeconds = nowSeconds - Number(timestamp);
    if (ageSeconds > PAST_SECONDS || ageSeconds < -FUTURE_SECONDS) return "timestamp_outside_window";
    if (!/^sha256=[0-9a-f]{64}$/i.test(signature ?? "")) return "signature_malformed";
    const expected = createHmac("sha256", key).update(`${timestamp}.`).update(body).digest();
    return timingSafeEqual(Buffer.from(signature.slice(7), "hex"), expected) ? null : "signature_wrong";
  };
}
