// Owns how often pieces of an answer are streamed: the first at once, those that follow gathered for a moment, so that a hundred tokens a
// second do not become a hundred messages a second. Keeps the order.

/** What kind of text a piece is. */
export type PieceKind = "text" | "reasoning";

/** How pieces are handed on. */
export interface PieceGathererOptions {
  /** The least time between two pieces, in milliseconds, unless their kinds differ. */
  readonly intervalMs: number;
  /** Hands on a piece; resolves when there is room for the next. Its rejection reaches whoever adds or flushes next. */
  readonly send: (kind: PieceKind, text: string) => Promise<void>;
}

/** Gathers the pieces of one answer. */
export class PieceGatherer {
  readonly #options: PieceGathererOptions;
  #kind: PieceKind = "text";
  #text = "";
  #sentAtMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #room: Promise<void> = Promise.resolve();

  constructor(options: PieceGathererOptions) {
    this.#options = options;
  }

  /** Adds a piece. Waits while there is no room for more. */
  async add(kind: PieceKind, text: string): Promise<void> {
    if (text === "") return;
    if (kind !== this.#kind) this.#send();
    this.#kind = kind;
    this.#text += text;
    const waitMs = this.#sentAtMs + this.#options.intervalMs - performance.now();
    if (waitMs <= 0) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), waitMs);
    await this.#room;
  }

  /** Hands on what was gathered. */
  async flush(): Promise<void> {
    this.#send();
    await this.#room;
  }

  /** Forgets what was gathered. */
  discard(): void {
    this.#text = "";
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    this.#sentAtMs = performance.now();
    this.#room = Promise.all([this.#room, this.#options.send(this.#kind, text)]).then(() => undefined);
    // It is awaited by the next piece, which may never come.
    this.#room.catch(() => undefined);
  }
}
