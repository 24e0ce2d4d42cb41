// gRPC calls over node:http2, with nothing of what comes back hidden.
import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { Listener } from "../../lib/rpc/listener/listener.ts";

/** What came back. */
export interface Exchange {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** A connection that has shaken hands. */
export async function open({ url }: Listener): Promise<ClientHttp2Session & AsyncDisposable> {
  const session = connect(url);
  session.on("error", () => undefined);
  // Until the server knows that its settings are known, it looks at headers more closely.
  await once(session, "remoteSettings");
  await new Promise((pong) => session.ping(pong));
  return Object.assign(session, {
    [Symbol.asyncDispose]: async () => {
      const closed = session.destroyed ? undefined : once(session, "close");
      session.destroy();
      await closed;
    },
  });
}

/** Begins a call. */
export function request(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>>,
): ClientHttp2Stream {
  const content = { "content-type": "application/grpc", te: "trailers" };
  return session.request({ ":method": "POST", ":path": path, ":authority": "mesh.test", ...content, ...headers });
}

/** Makes a call, and waits for its end. */
export async function exchange(
  listener: Listener,
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Exchange> {
  await using session = await open(listener);
  const call = request(session, path, headers);
  const found = { status: 0, headers: {}, trailers: {} };
  const chunks: Buffer[] = [];
  call.on("response", ({ ":status": status = 0, date: _date, ...rest }) =>
    Object.assign(found, { status, headers: { ...rest } }),
  );
  call.on("trailers", (trailers) => Object.assign(found, { trailers: { ...trailers } }));
  call.on("data", (chunk: Buffer) => chunks.push(chunk));
  call.on("error", () => undefined);
  call.end(body);
  await once(call, "close");
  return { ...found, body: Buffer.concat(chunks) };
}

/** Resolves when a signal has aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
