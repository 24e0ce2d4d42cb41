// Owns single requests to HashiCorp Vault's HTTP API: bounded in time and size, with its errors told apart.
// Knows nothing of logins and secrets.
import { Agent, request } from "undici";
import { z } from "zod";
import type { Secret } from "../secret.ts";
import { VaultError } from "./vault-error.ts";

/** Vault's own limit of a stored secret is 1 MiB. */
const MAX_ANSWER_BYTES: number = 2 * 1024 * 1024;
const MAX_SHOWN_LENGTH = 200;

/** How Vault is reached. */
export interface VaultApiOptions {
  /** An http or https URL, e.g. `https://vault:8200`. */
  readonly address: string;
  /** Vault Enterprise's namespace. */
  readonly namespace?: string | undefined;
  /** The roots that Vault's certificate may come from, in PEM; Node's own if undefined. */
  readonly ca?: string | undefined;
  /** The longest time for one request, with its answer. */
  readonly timeoutMs: number;
}

/** A request. */
export interface VaultRequest {
  readonly method: "GET" | "POST";
  /** Below `/v1/`. Parts are encoded already. */
  readonly path: string;
  readonly token?: Secret | undefined;
  readonly body?: Readonly<Record<string, string>>;
}

const Errors = z.object({ errors: z.array(z.string()) });

/** Speaks to one Vault. Disposing it closes its connections. */
export class VaultApi implements AsyncDisposable {
  /** Its address for people. */
  readonly address: string;
  readonly #options: VaultApiOptions;
  readonly #agent: Agent;

  constructor(options: VaultApiOptions) {
    const { address, ca } = options;
    this.#options = options;
    this.address = address.replace(/\/+$/, "");
    this.#agent = new Agent({ connections: 4, ...(ca === undefined ? {} : { connect: { ca } }) });
  }

  /** Returns the answer's JSON; undefined for an empty one. Throws VaultError. */
  async call({ method, path, token, body }: VaultRequest): Promise<unknown> {
    const { namespace, timeoutMs } = this.#options;
    const signal = AbortSignal.timeout(timeoutMs);
    let status: number;
    let text: string;
    try {
      const response = await request(`${this.address}/v1/${path}`, {
        method,
        dispatcher: this.#agent,
        signal,
        headers: {
          "x-vault-request": "true",
          ...(token === undefined ? {} : { "x-vault-token": token.reveal() }),
          ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      status = response.statusCode;
      text = await this.#textOf(response.body);
    } catch (error) {
      if (error instanceof VaultError) throw error;
      const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error);
      throw new VaultError("unreachable", `Vault at ${this.address} cannot be reached: ${reason}`, { cause: error });
    }
    return this.#judged(status, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  #judged(status: number, text: string): unknown {
    const json = jsonOf(text);
    if (status === 200 || status === 204) {
      if (json === undefined && text !== "") {
        throw new VaultError("garbled", `Vault at ${this.address} answered with something that is no JSON`);
      }
      return json;
    }
    const told = Errors.safeParse(json).data?.errors.join("; ") ?? "";
    const because = told === "" ? "" : `: ${told.replaceAll(/\s+/g, " ").slice(0, MAX_SHOWN_LENGTH)}`;
    switch (status) {
      case 403:
        throw new VaultError("forbidden", `Vault at ${this.address} does not allow it (403)${because}`);
      case 404:
        throw new VaultError("missing", `Vault at ${this.address} has no such thing (404)${because}`);
      case 503:
        throw new VaultError("sealed", `Vault at ${this.address} is sealed or down for maintenance (503)${because}`);
      default:
        throw new VaultError("refused", `Vault at ${this.address} answered with status ${status}${because}`);
    }
  }

  async #textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) {
        throw new VaultError("garbled", `Vault at ${this.address} answered with more than ${MAX_ANSWER_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }
}

/** Path segments as they stand in a URL. */
export function encodedPath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return code === "" ? (error.message.split("\n")[0] ?? error.name) : code;
}
