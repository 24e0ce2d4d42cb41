// Which certificates a revocation list names: handshakes are checked by OpenSSL itself, but what was let in before can only be looked up.
import type { X509Certificate } from "node:crypto";

/** Serial numbers that lists name, as {@link serialOf} has them. One authority issues no number twice; of several, a number counts for all. */
export type RevokedSerials = ReadonlySet<string>;

/** How a certificate is named in lists. */
export function serialOf({ serialNumber }: Pick<X509Certificate, "serialNumber">): string {
  return serialNumber.toLowerCase().replace(/^0+/, "");
}

/** Reads lists in PEM. Throws RangeError for what is none. */
export async function readRevoked(lists: readonly string[]): Promise<RevokedSerials> {
  // Most servers have none, and the library takes a fifth of a second to load.
  await import("reflect-metadata");
  const { X509Crl } = await import("@peculiar/x509");
  try {
    return new Set(
      lists.flatMap((list) =>
        new X509Crl(list.replaceAll("X509 CRL", "CRL")).entries.map(({ serialNumber }) => serialOf({ serialNumber })),
      ),
    );
  } catch (error) {
    throw new RangeError("the list of revoked certificates can't be read", { cause: error });
  }
}
