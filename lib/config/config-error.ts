// Owns the error of a configuration: every mistake is a line for the operator, and all of them are kept.

/** Settings are not as they must be. The message is one line: the first mistake, and how many more there are. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line a mistake; at least one. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly [string, ...string[]] | string) {
    const lines = typeof mistakes === "string" ? [mistakes] : mistakes;
    const [first = ""] = lines;
    const more = lines.length - 1;
    super(more === 0 ? first : `${first} (and ${more} more ${more === 1 ? "mistake" : "mistakes"})`);
    this.mistakes = lines;
  }
}
