// Owns reading apt's source lists (one-line and deb822 style) to find which Debian mirror this machine trusts.
// Pure text work: reading the files and calling apt is `debian-package.ts`'s business.

/** A mirror of the Debian archive and the keys that this machine checks it with. */
export interface DebianMirror {
  /** E.g. `http://mirror.example.org/debian`, or `mirror+file:/etc/apt/mirrors/debian.list`. */
  readonly uri: string;
  /** Value of `Signed-By` (a path or an inline key block); undefined when the machine relies on apt's default keys. */
  readonly signedBy: string | undefined;
}

/** One file of /etc/apt with its content. */
export interface AptSourceFile {
  readonly path: string;
  readonly text: string;
}

/** Finds the first enabled entry that serves the main component of the Debian archive; undefined when there is none. */
export function findDebianMirror(files: readonly AptSourceFile[]): DebianMirror | undefined {
  for (const file of files) {
    const mirrors = file.path.endsWith(".sources") ? parseDeb822(file.text) : parseOneLine(file.text);
    const mirror = mirrors.find(({ uri }) => isDebianArchive(uri));
    if (mirror !== undefined) return mirror;
  }
  return undefined;
}

/** Writes a deb822 source for one suite of the mirror, main component, binary packages only. */
export function debianSource(mirror: DebianMirror, suite: string): string {
  const lines = ["Types: deb", `URIs: ${mirror.uri}`, `Suites: ${suite}`, "Components: main"];
  if (mirror.signedBy !== undefined) lines.push(`Signed-By: ${mirror.signedBy}`);
  return lines.join("\n") + "\n";
}

/** The archive proper ends in /debian on every mirror; debian-security, debian-debug and vendors' archives do not. */
function isDebianArchive(uri: string): boolean {
  return /\/debian\/?$/.test(uri) || /^mirror\+file:.*\/debian\.list$/.test(uri);
}

function parseDeb822(text: string): DebianMirror[] {
  return text.split(/\n(?:[ \t]*\n)+/).flatMap((stanza) => {
    const fields = stanzaFields(stanza);
    if (fields.get("enabled")?.toLowerCase() === "no") return [];
    if (!words(fields.get("types")).includes("deb") || !words(fields.get("components")).includes("main")) return [];
    const signedBy = fields.get("signed-by");
    return words(fields.get("uris")).map((uri) => ({ uri, signedBy }));
  });
}

/** Field names in lower case; continuation lines are kept as they are, because an inline key is made of them. */
function stanzaFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of stanza.split("\n")) {
    if (line.startsWith("#")) continue;
    const field = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
    if (field !== null) {
      last = (field[1] ?? "").toLowerCase();
      fields.set(last, (field[2] ?? "").trim());
    } else if (last !== undefined && /^[ \t]/.test(line)) {
      fields.set(last, `${fields.get(last) ?? ""}\n${line}`);
    }
  }
  return fields;
}

function parseOneLine(text: string): DebianMirror[] {
  return text.split("\n").flatMap((line) => {
    const entry = /^[ \t]*deb[ \t]+(?:\[([^\]]*)\][ \t]+)?(\S+)[ \t]+\S+[ \t]+(.*)$/.exec(line);
    const uri = entry?.[2];
    if (uri === undefined || !words(entry?.[3]).includes("main")) return [];
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(entry?.[1] ?? "")?.[1];
    return [{ uri, signedBy }];
  });
}

function words(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((word) => word !== "");
}
