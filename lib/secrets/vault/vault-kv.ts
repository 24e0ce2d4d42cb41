// Owns how fields are read from HashiCorp Vault's KV secrets engine, version 2: one read for all fields of a secret that are asked for
// together.
import { z } from "zod";
import { Secret } from "../secret.ts";
import { encodedPath, type VaultApi } from "./vault-api.ts";
import { VaultError } from "./vault-error.ts";
import { parsed } from "./vault-login.ts";
import type { VaultSession } from "./vault-session.ts";

/** A place in the engine, without slashes at either end. */
export interface KvPlace {
  readonly mount: string;
  readonly path: string;
  readonly field: string;
}

type Fields = Readonly<Record<string, unknown>>;

const Stored = z.object({ data: z.object({ data: z.record(z.string(), z.unknown()) }) });

/** What a reader needs. */
export interface VaultKvOptions {
  readonly api: VaultApi;
  readonly session: VaultSession;
  /** How long an answer is good for other fields of the same secret. */
  readonly cacheMs: number;
}

/** Reads secrets. */
export class VaultKv {
  readonly #options: VaultKvOptions;
  readonly #answers = new Map<string, { readonly fields: Promise<Fields>; readonly goodUntilMs: number }>();

  constructor(options: VaultKvOptions) {
    this.#options = options;
  }

  /** Reads a field. Throws VaultError, or SecretError when the login's own credential cannot be read. */
  async read({ mount, path, field }: KvPlace): Promise<Secret> {
    const fields = await this.#fieldsOf(`${encodedPath(mount)}/data/${encodedPath(path)}`);
    const value = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (typeof value === "string" && value !== "") return new Secret(value);
    if (typeof value === "number") return new Secret(String(value));
    const there = Object.keys(fields).slice(0, 20).join(", ");
    const what =
      value === undefined ? `has no field ${field}; there are ${there || "none"}` : `holds no text in ${field}`;
    throw new VaultError("missing", `${mount}/${path} ${what}`);
  }

  #fieldsOf(path: string): Promise<Fields> {
    const now = performance.now();
    const known = this.#answers.get(path);
    if (known !== undefined && known.goodUntilMs > now) return known.fields;
    const fields = this.#fetched(path);
    this.#answers.set(path, { fields, goodUntilMs: now + this.#options.cacheMs });
    // A failure is not kept: whoever asks next tries anew.
    fields.catch(() => this.#answers.delete(path));
    return fields;
  }

  async #fetched(path: string): Promise<Fields> {
    const { session } = this.#options;
    const token = await session.token();
    try {
      return await this.#get(path, token);
    } catch (error) {
      if (!(error instanceof VaultError) || error.fault !== "forbidden") throw error;
      // The token may have been revoked; the secret may also be none of ours, which a new login shows.
      session.drop(token);
      const another = await session.token();
      if (another.equals(token)) throw error;
      return await this.#get(path, another);
    }
  }

  async #get(path: string, token: Secret): Promise<Fields> {
    const { api } = this.#options;
    return parsed(api, Stored, await api.call({ method: "GET", path, token })).data.data;
  }
}
