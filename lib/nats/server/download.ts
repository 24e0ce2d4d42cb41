// Owns fetching one file over HTTP(S) into memory, through the user's proxy if there is one, giving up soon when
// nobody answers. Not fetch(): that takes a proxy only by a switch for the whole process.
import { Agent as HttpAgent, get as httpGet, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, get as httpsGet } from "node:https";

/** Bounds of a {@link download}. */
export interface DownloadOptions {
  /** Most bytes to take; a larger body is refused. */
  readonly maxBytes: number;
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` (either case) are read from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

/** An offline machine must fall through to the next source within seconds. */
const ANSWER_TIMEOUT_MS = 6_000;
const TOTAL_TIMEOUT_MS = 300_000;
/** A connection that sends nothing for so long is dead. */
const STALL_TIMEOUT_MS = 15_000;
const MAX_REDIRECTS = 5;

/** Downloads a file, following redirects (never from https to http). Rejects with one line. */
export async function download(url: string, options: DownloadOptions): Promise<Buffer> {
  const limits = [AbortSignal.timeout(TOTAL_TIMEOUT_MS), ...(options.signal === undefined ? [] : [options.signal])];
  const signal = AbortSignal.any(limits);
  let target = new URL(url);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    const response = await answer(target, options.environment, signal);
    const { statusCode = 0 } = response;
    const { location } = response.headers;
    if (statusCode >= 300 && statusCode < 400 && location !== undefined) {
      response.destroy();
      const next = new URL(location, target);
      if (target.protocol === "https:" && next.protocol !== "https:") {
        throw new Error(`${target.host} redirects to ${next.protocol}//${next.host}, which is not encrypted`);
      }
      target = next;
      continue;
    }
    if (statusCode !== 200) {
      response.destroy();
      throw new Error(`${target.host} answered ${statusCode}`);
    }
    return await body(response, target, options.maxBytes);
  }
  throw new Error(`${url} redirects more than ${MAX_REDIRECTS} times`);
}

async function answer(
  target: URL,
  environment: DownloadOptions["environment"],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const secure = target.protocol === "https:";
  const agentOptions = { proxyEnv: { ...environment }, keepAlive: false };
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  return await new Promise((resolve, reject) => {
    const request = (secure ? httpsGet : httpGet)(target, { agent, signal }, (response) => {
      clearTimeout(silent);
      resolve(response);
    });
    const silent = setTimeout(() => {
      request.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`));
    }, ANSWER_TIMEOUT_MS);
    request.on("error", (error) => {
      clearTimeout(silent);
      reject(new Error(`${target.host} cannot be reached: ${error.message}`, { cause: error }));
    });
  });
}

async function body(response: IncomingMessage, target: URL, maxBytes: number): Promise<Buffer> {
  response.setTimeout(STALL_TIMEOUT_MS, () => response.destroy(new Error("the transfer stalled")));
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response.iterator({ destroyOnReturn: true })) {
      if (!Buffer.isBuffer(chunk)) continue;
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error(`the file is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw new Error(`${target.host}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return Buffer.concat(chunks);
}
