// Owns the error of a secret that cannot be had.

/** A secret cannot be read. The message is one line for the operator: what named it, where it should be and what is wrong; never the secret. */
export class SecretError extends Error {
  override readonly name = "SecretError";
}
