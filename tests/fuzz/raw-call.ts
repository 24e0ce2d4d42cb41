// RPCs with bodies that are any bytes, and what they are answered in the words of each protocol.
import { once } from "node:events";
import { connect, type ClientHttp2Session, constants } from "node:http2";
import { Code } from "@connectrpc/connect";

/** How a call ended. */
export interface RawAnswer {
  /** The HTTP status; 0 when the stream or the connection was cut. */
  readonly status: number;
  /** The name of the RPC code, `OK`, or empty if the answer carries none. */
  readonly code: string;
  readonly message: string;
  /** The reason in its ErrorInfo; empty if there is none. */
  readonly reason: string;
}

/** A connection for calls by hand. */
export interface RawCaller extends AsyncDisposable {
  /** Calls over gRPC. The body goes out as it is. */
  grpc(path: string, body: Uint8Array, headers?: Readonly<Record<string, string>>): Promise<RawAnswer>;
  /** Calls over unary Connect, or whatever the headers say. */
  connect(path: string, body: Uint8Array | string, headers?: Readonly<Record<string, string>>): Promise<RawAnswer>;
}

const PATIENCE_MS = 45_000;

/** Opens a connection for calls. */
export async function openRawCaller(url: string): Promise<RawCaller> {
  let session = await open(url);
  const alive = async (): Promise<ClientHttp2Session> => {
    if (session.destroyed || session.closed) session = await open(url);
    return session;
  };
  return {
    async grpc(path, body, headers = {}) {
      const { status, fields } = await exchange(await alive(), path, body, {
        "content-type": "application/grpc",
        te: "trailers",
        ...headers,
      });
      const number = fields.get("grpc-status");
      const details = Buffer.from(fields.get("grpc-status-details-bin") ?? "", "base64");
      return {
        status,
        code: number === undefined ? "" : number === "0" ? "OK" : String(Code[Number(number)]),
        message: decodeURIComponent(fields.get("grpc-message") ?? ""),
        reason: reasonIn(details),
      };
    },
    async connect(path, body, headers = {}) {
      const { status, bytes } = await exchange(await alive(), path, Buffer.from(body), {
        "content-type": "application/proto",
        ...headers,
      });
      const text = bytes.toString();
      if (status === 200) return { status, code: "OK", message: "", reason: "" };
      const error = parse(text);
      const [info] = error.details ?? [];
      return {
        status,
        code: pascal(error.code ?? ""),
        message: error.message ?? text,
        reason: info === undefined ? "" : reasonIn(Buffer.from(info.value ?? "", "base64")),
      };
    },
    async [Symbol.asyncDispose]() {
      const closed = session.destroyed ? undefined : once(session, "close");
      session.destroy();
      await closed;
    },
  };
}

async function open(url: string): Promise<ClientHttp2Session> {
  const session = connect(url, { settings: { initialWindowSize: 8_000_000 }, maxSessionMemory: 1_000 });
  session.on("error", () => undefined);
  await once(session, "connect");
  return session;
}

interface Exchange {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly bytes: Buffer;
}

function exchange(
  session: ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const fields = new Map<string, string>();
    const chunks: Buffer[] = [];
    let status = 0;
    const take = (found: object): void => {
      for (const [name, value] of Object.entries(found)) fields.set(name, String(value));
    };
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      ...headers,
    });
    const late = setTimeout(() => reject(new Error(`no answer to ${path} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    stream.on("response", (found) => {
      status = found[":status"] ?? 0;
      take(found);
    });
    stream.on("trailers", take);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A server that has said no need not hear the rest; what counts is what it said.
    stream.on("error", () => undefined);
    stream.on("close", () => {
      clearTimeout(late);
      resolve({ status, fields, bytes: Buffer.concat(chunks) });
    });
    stream.end(body);
  });
}

interface ConnectErrorJson {
  readonly code?: string;
  readonly message?: string;
  readonly details?: readonly { readonly value?: string }[];
}

function parse(text: string): ConnectErrorJson {
  try {
    return JSON.parse(text) as ConnectErrorJson;
  } catch {
    return {};
  }
}

function pascal(code: string): string {
  return code.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The reason in serialized details: the upper-case word before the domain. */
function reasonIn(details: Buffer): string {
  return /([A-Z][A-Z0-9_]{2,})[^A-Za-z]+mycel\.dev/.exec(details.toString("latin1"))?.[1] ?? "";
}
