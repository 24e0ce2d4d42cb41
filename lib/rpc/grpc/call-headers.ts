// Headers of a call as Connect knows them. Almost nobody looks at more than one of them, or adds any: so the web's Headers, which a call has
// three of at more than 1 KiB, are made for those who do.
import type { IncomingHttpHeaders } from "node:http";

const NONE: IncomingHttpHeaders = {};

/** Headers as they came, until they are changed. */
export class CallHeaders implements Headers {
  readonly #incoming: IncomingHttpHeaders;
  #made: Headers | undefined;

  /** What a request came with, if any. */
  constructor(incoming: IncomingHttpHeaders = NONE) {
    this.#incoming = incoming;
  }

  /** Whether there are none for sure. */
  get areNone(): boolean {
    return this.#made === undefined && this.#incoming === NONE;
  }

  get(name: string): string | null {
    if (this.#made === undefined) {
      const value = this.#incoming[name];
      if (typeof value === "string" && !name.startsWith(":")) return value;
      if (this.#incoming === NONE) return null;
    }
    return this.#all.get(name);
  }

  has(name: string): boolean {
    return this.#all.has(name);
  }

  set(name: string, value: string): void {
    this.#all.set(name, value);
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
    this.#made ??= headersOf(this.#incoming);
    return this.#made;
  }
}

function headersOf(incoming: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const name of Object.keys(incoming)) {
    if (name.startsWith(":")) continue;
    const value = incoming[name];
    if (typeof value === "string") headers.append(name, value);
    else for (const one of value ?? []) headers.append(name, one);
  }
  return headers;
}
