// Where a JWK set stands, and how it is read: within a time and a size, and never from where it was not told to. Does not look into it.

import { open } from "node:fs/promises";

/** Where a JWK set stands. */
export type JwksSource = { readonly kind: "file"; readonly path: string } | { readonly kind: "url"; readonly url: URL };

/** The largest JWK set that is read, in bytes. */
export const MAX_JWKS_BYTES: number = 256 * 1024;

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

/**
 * Reads a URL at which a JWK set may stand: `https`, or `http` on this machine only, where nobody can exchange the keys on their way.
 * Throws RangeError.
 */
export function jwksUrl(text: string): URL {
  const url = URL.parse(text);
  const secure = url?.protocol === "https:" || (url?.protocol === "http:" && LOOPBACK.test(url.hostname));
  if (url === null || !secure || url.username !== "" || url.password !== "") {
    throw new RangeError("the JWKS URL must be an https URL without user and password (http on loopback only)");
  }
  return url;
}

/** Reads a JWK set. Throws whatever is in the way: no answer in time, another status than 200, a redirect, too many bytes. */
export async function readJwks(source: JwksSource, timeoutMs: number, stopped: AbortSignal): Promise<string> {
  if (source.kind === "file") return await readBounded(source.path);
  // The time is for the body, too.
  return await fetchBounded(source.url, AbortSignal.any([stopped, AbortSignal.timeout(timeoutMs)]));
}

async function readBounded(path: string): Promise<string> {
  await using file = await open(path, "r");
  const bytes = Buffer.alloc(MAX_JWKS_BYTES + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length);
    length += bytesRead;
    if (length > MAX_JWKS_BYTES) throw tooLarge();
    if (bytesRead === 0) return bytes.toString("utf8", 0, length);
  }
}

async function fetchBounded(url: URL, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, {
    redirect: "error",
    headers: { accept: "application/json, application/jwk-set+json" },
    signal,
  });
  const { body, status } = response;
  if (status !== 200 || body === null) {
    await body?.cancel();
    throw new Error(`the JWKS URL answered with status ${status}`);
  }
  const decoder = new TextDecoder();
  let [text, length] = ["", 0];
  for await (const chunk of body) {
    length += chunk.length;
    // Leaving the loop ends the connection.
    if (length > MAX_JWKS_BYTES) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function tooLarge(): Error {
  return new Error(`the JWK set has more than ${MAX_JWKS_BYTES} bytes`);
}
