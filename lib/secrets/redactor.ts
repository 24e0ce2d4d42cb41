// Owns what is taken out of texts before people see them: what looks like a credential, and secrets that this process knows.

const REDACTED = "[redacted]";
// A shorter one would be found in ordinary words; such a secret is no secret anyway.
const MIN_LENGTH = 6;
// The user info may itself hold colons, and slashes where somebody forgot to encode them; it ends with the last @ before a space or quote.
// Bounded, so that a long line made by a stranger costs little.
const URL_CREDENTIALS = /\b([a-z][a-z0-9+.-]{0,31}:\/\/)[^\s"'`<>,]{0,512}@/gi;
// What is a credential by its looks, whoever it belongs to: JWTs, stream tokens, seeds of nkeys, our API keys and webhooks' secrets, tokens of Vault.
const SHAPES =
  /(?:\bmst_|\b)eyJ[\w-]{10,4096}\.eyJ[\w-]{4,4096}\.[\w-]{10,}|\bS[AUOCN][A-Z2-7]{56}\b|\bmk_[0-9a-z]{1,32}_[\w-]{20,}|\bwhsec_[\w+/=-]{16,}|\bhv[sbr]\.[\w-]{20,}/g;

/** `text` without what can be seen to be a credential: names and passwords in URLs, tokens and keys of known forms. */
export function withoutCredentials(text: string): string {
  const shaped = text.replaceAll(SHAPES, REDACTED);
  return shaped.includes("@") ? shaped.replaceAll(URL_CREDENTIALS, `$1${REDACTED}@`) : shaped;
}

/** Takes out of texts whatever secret it has been told. One for a process: what reads secrets tells it, what writes lines asks it. */
export class Redactor {
  readonly #known = new Set<string>();
  #ordered: readonly string[] = [];

  /** Tells it a secret. Fewer than 6 characters are not looked for. */
  add(secret: string): void {
    for (const form of formsOf(secret)) this.#known.add(form);
    this.#order();
  }

  /** Takes back a secret that is worth nothing any more, so that what comes and goes does not add up. */
  forget(secret: string): void {
    for (const form of formsOf(secret)) this.#known.delete(form);
    this.#order();
  }

  /** Tells it the password in a URL, if there is one. */
  addUrl(url: string): void {
    const password = URL.canParse(url) ? new URL(url).password : "";
    if (password === "") return;
    this.add(password);
    try {
      this.add(decodeURIComponent(password));
    } catch {
      // Not encoded, then; it has been told as it stands.
    }
  }

  /** `text` without known secrets, and without what can be seen to be a credential. */
  clean(text: string): string {
    let cleaned = text;
    for (const secret of this.#ordered) {
      if (cleaned.includes(secret)) cleaned = cleaned.replaceAll(secret, REDACTED);
    }
    return withoutCredentials(cleaned);
  }

  /** One secret may begin like another. */
  #order(): void {
    this.#ordered = [...this.#known].sort((one, other) => other.length - one.length);
  }
}

/** Every form in which a secret may come to stand in a line. One of several lines, such as a private key, may be shown by any of them. */
function formsOf(secret: string): readonly string[] {
  const parts = [secret, ...secret.split(/\r?\n/)]
    .map((text) => text.trim())
    .filter(({ length }) => length >= MIN_LENGTH);
  return parts.flatMap((part) => {
    const encoded = part.isWellFormed() ? encodeURIComponent(part) : part;
    return [part, JSON.stringify(part).slice(1, -1), encoded];
  });
}
