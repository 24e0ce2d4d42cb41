// Owns how the standard OTEL_* variables are read: what is unset, what is a count, what is a list of pairs, and what is said of the rest.
// Never throws: telemetry must not keep a service from starting.

/** Environment variables as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The variables of one process, and what was wrong with those that were read. */
export class OtelVariables {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  /** One line for every value that could not be used; its default is used instead. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Says that a value is not usable. */
  complain(name: string, allowed: string, used: string): void {
    // Values of these variables can hold credentials (headers, user info in URLs), so only names and defaults are shown.
    this.#problems.push(`${name} is not usable: expected ${allowed}; using ${used}`);
  }

  /** The value without space around it; undefined if it is unset or empty. */
  text(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === undefined || value === "" ? undefined : value;
  }

  /** A whole number from `min` to 2147483647. */
  count(name: string, fallback: number, min: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= 2_147_483_647) return value;
    this.complain(name, `a whole number from ${min} to 2147483647`, String(fallback));
    return fallback;
  }

  /** Pairs such as headers and attributes. */
  pairs(name: string): Record<string, string> {
    const parsed = parsePairs(this.text(name) ?? "");
    if (parsed !== undefined) return parsed;
    this.complain(name, "key=value pairs joined by commas, values percent-encoded", "none of it");
    return {};
  }
}

// Returns undefined when any pair is malformed: half of a resource or of a header list is worse than none.
function parsePairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(equals, 0)).trim();
    if (key === "") return undefined;
    try {
      pairs[decodeURIComponent(key)] = decodeURIComponent(part.slice(equals + 1).trim());
    } catch {
      return undefined;
    }
  }
  return pairs;
}
