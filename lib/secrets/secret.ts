// Owns how a secret is held in memory: as a value that no log, error, template or JSON can show by accident.

const SHOWN = "[secret]";

/** A secret. Turned into text, JSON or a log line it reads `[secret]`, and inspected `Secret {}`; only {@link Secret.reveal} tells it. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The secret itself: for the call that needs it, never for a variable that lives on. */
  reveal(): string {
    return this.#text;
  }

  /** Whether it is the same secret. Not for judging what a stranger sent: it does not take the same time for all. */
  equals(other: Secret): boolean {
    return this.#text === other.#text;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }
}
