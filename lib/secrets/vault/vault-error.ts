// Owns what can go wrong between Mycel and HashiCorp Vault.

/** What went wrong: `forbidden` may be mended by another token, `missing` only by whoever keeps the secret; the rest may pass. */
export type VaultFault = "forbidden" | "missing" | "sealed" | "unreachable" | "refused" | "garbled";

/** Vault did not give what was asked for. The message is one line without any secret. */
export class VaultError extends Error {
  override readonly name = "VaultError";
  readonly fault: VaultFault;

  constructor(fault: VaultFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}
