// Whether a content is a text, and in which encoding, judged by its start. Pure.
import { detect } from "chardet";

/** How a text is encoded. */
export interface TextEncoding {
  /** As the WHATWG Encoding Standard names it. */
  readonly name: string;
  readonly byteOrderMark: boolean;
}

const MARKS: readonly (readonly [name: string, mark: readonly number[]])[] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/** The encoding of a text that starts with `head`; undefined if it is no text. */
export function encodingOf(head: Uint8Array): TextEncoding | undefined {
  const marked = MARKS.find(([, mark]) => mark.every((byte, i) => head[i] === byte));
  if (marked !== undefined) return { name: marked[0], byteOrderMark: true };
  if (head.length === 0) return { name: "utf-8", byteOrderMark: false };
  if (head.some(isControl)) return undefined;
  if (isUtf8(head)) return { name: "utf-8", byteOrderMark: false };
  const name = decoderName(detect(head));
  return name === undefined ? undefined : { name, byteOrderMark: false };
}

/** A head may end within a character. */
function isUtf8(head: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** What stands in no text: control characters but tab, line ends, form feed, backspace and escape. */
function isControl(byte: number): boolean {
  return byte < 0x08 || byte === 0x0b || (byte > 0x0d && byte < 0x1b) || (byte > 0x1b && byte < 0x20);
}

function decoderName(detected: string | null): string | undefined {
  try {
    return detected === null ? undefined : new TextDecoder(detected).encoding;
  } catch {
    return undefined;
  }
}
