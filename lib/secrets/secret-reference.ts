// Owns how a setting names a secret: by value, by file or by its place in HashiCorp Vault. Pure: nothing is read here.
import { isAbsolute, resolve } from "node:path";
import { Secret } from "./secret.ts";

/** Where a secret is. */
export type SecretPlace =
  | { readonly kind: "value"; readonly secret: Secret }
  /** `path` is absolute. */
  | { readonly kind: "file"; readonly path: string }
  /** A field of a KV v2 secret. `mount` and `path` have no slash at either end. */
  | { readonly kind: "vault"; readonly mount: string; readonly path: string; readonly field: string };

/** A secret that a setting names. */
export interface SecretReference {
  /** What named it, for messages: a variable, or a key with its place in the file. */
  readonly named: string;
  readonly place: SecretPlace;
}

/** What a reference may look like, for messages. */
export const REFERENCE_FORMS = "file:PATH or vault:MOUNT/PATH#FIELD";

/**
 * Reads `file:PATH` (relative to `folder`), `vault:MOUNT/PATH#FIELD`, or `vault:MOUNT//PATH#FIELD` for a mount with slashes. Returns undefined for a text that begins with neither, and throws
 * RangeError, without quoting it, for one that is malformed.
 */
export function readSecretPlace(text: string, folder: string): SecretPlace | undefined {
  if (text.startsWith("file:")) {
    const path = text.slice("file:".length).trim();
    if (path === "") throw new RangeError("file: must be followed by a path");
    return { kind: "file", path: isAbsolute(path) ? path : resolve(folder, path) };
  }
  if (!text.startsWith("vault:")) return undefined;
  const written = text.slice("vault:".length).trim();
  const hash = written.lastIndexOf("#");
  const [place, field] = hash < 0 ? [written, ""] : [written.slice(0, hash), written.slice(hash + 1)];
  // A mount may have slashes of its own; then two of them end it.
  const divider = place.includes("//") ? "//" : "/";
  const at = place.indexOf(divider);
  const [mount, path] = at < 0 ? ["", ""] : [place.slice(0, at), place.slice(at + divider.length)];
  // What a URL would resolve away leads to another secret than the one that was written.
  const isPlain = [mount, path].every(
    (part) => /^[^\s?%#/]+(?:\/[^\s?%#/]+)*$/.test(part) && !/(?:^|\/)\.{1,2}(?:\/|$)/.test(part),
  );
  if (!isPlain || field === "") throw new RangeError("must be vault:MOUNT/PATH#FIELD, e.g. vault:secret/mycel#token");
  return { kind: "vault", mount, path, field };
}

/** The place as people may see it: never the secret. */
export function shownPlace(place: SecretPlace): string {
  switch (place.kind) {
    case "value":
      return "[secret]";
    case "file":
      return `file:${place.path}`;
    case "vault":
      return `vault:${place.mount}${place.mount.includes("/") ? "//" : "/"}${place.path}#${place.field}`;
  }
}
