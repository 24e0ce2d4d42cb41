// Which algorithms a token may be signed with. One with a shared secret and those with key pairs are never accepted side by side: else a
// public key could be taken for a secret that everybody knows.

/** The one algorithm of a shared secret. */
export const SECRET_ALGORITHM = "HS256";

/** The algorithms of key pairs. `none` and those of shared secrets are not among them, and can't be. */
export const KEY_PAIR_ALGORITHMS: readonly string[] = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** What tokens of key pairs may be signed with unless an operator names fewer, or others. */
export const DEFAULT_ALGORITHMS: readonly string[] = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];

/** Throws RangeError for algorithms that tokens of key pairs can't be signed with, and for none at all. */
export function checkAlgorithms(algorithms: readonly string[]): void {
  if (algorithms.length === 0) throw new RangeError(`algorithms must name at least one of ${shown()}`);
  const wrong = algorithms.find((algorithm) => !KEY_PAIR_ALGORITHMS.includes(algorithm));
  if (wrong !== undefined) {
    throw new RangeError(`algorithms must be of ${shown()}, one is ${JSON.stringify(wrong)}`);
  }
}

function shown(): string {
  return KEY_PAIR_ALGORITHMS.join(", ");
}
