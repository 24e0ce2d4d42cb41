// Headers of a call as Connect knows them. Almost nobody looks at more than one of them, or adds any: so the web's Headers, which a call has
// three of at more than 1 KiB, are made for those who do.
import type { IncomingHttpHeaders } from "node:http";
import { headersFrom } from "./node-headers.ts";

const NONE: IncomingHttpHeaders = {};

// What the web's Headers take and give as it is; a name that may come several times is theirs.
const PLAIN_NAME = /^(?!set-cookie$)[a-z-]+$/;
const PLAIN_VALUE = /^[!-~]+$/;

/** Headers as they came, until they are changed by more than what a plain record of them takes. */
export class CallHeaders implements Headers {
  readonly #incoming: IncomingHttpHeaders;
  #plain: Map<string, string> | undefined;
  #made: Headers | undefined;

  /** What a request came with, if any. */
  constructor(incoming: IncomingHttpHeaders = NONE) {
    this.#incoming = incoming;
  }

  /** Whether there are none for sure. */
  get areNone(): boolean {
    return this.plain !== undefined && this.#plain === undefined;
  }

  /** All of them if they were only set, one plain value each; undefined if the web's Headers must be asked. */
  get plain(): Iterable<[string, string]> | undefined {
    return this.#made === undefined && this.#incoming === NONE ? (this.#plain ?? []) : undefined;
  }

  get(name: string): string | null {
    if (this.#made === undefined && PLAIN_NAME.test(name)) {
      const value = this.#incoming === NONE ? this.#plain?.get(name) : this.#incoming[name];
      if (value === undefined) return null;
      if (typeof value === "string") return value;
    }
    return this.#all.get(name);
  }

  has(name: string): boolean {
    return this.#all.has(name);
  }

  set(name: string, value: string): void {
    const isPlain = this.plain !== undefined && PLAIN_NAME.test(name) && PLAIN_VALUE.test(value);
    if (isPlain) (this.#plain ??= new Map<string, string>()).set(name, value);
    else this.#all.set(name, value);
  }

  append(name: string, value: string): void {
    this.#all.append(name, value);
  }

  delete(name: string): void {
    this.#all.delete(name);
  }

  getSetCookie(): string[] {
    return this.#all.getSetCookie();
  }

  forEach(callback: (value: string, name: string, self: Headers) => void, thisArg?: unknown): void {
    for (const [name, value] of this) callback.call(thisArg, value, name, this);
  }

  keys(): ReturnType<Headers["keys"]> {
    return this.#all.keys();
  }

  values(): ReturnType<Headers["values"]> {
    return this.#all.values();
  }

  entries(): ReturnType<Headers["entries"]> {
    return this.#all.entries();
  }

  [Symbol.iterator](): ReturnType<Headers["entries"]> {
    return this.entries();
  }

  get #all(): Headers {
    if (this.#made === undefined) {
      this.#made = headersFrom(this.#incoming);
      for (const [name, value] of this.#plain ?? []) this.#made.set(name, value);
    }
    return this.#made;
  }
}
