// What a file is, judged by its start and never by its name. Pure.
import { fileTypeFromBuffer } from "file-type";
import { imageSize } from "image-size";
import type { TextEncoding } from "./text-encoding.ts";

/** A media type and the usual extension, without a dot. */
export interface ContentType {
  readonly mediaType: string;
  readonly extension: string;
}

/** An image's size. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
  readonly format: string;
  readonly orientation?: number;
}

/** How archives are told that are listed here. */
export type ArchiveKind = "zip" | "gz" | "tar";

/** The type of a content that starts with `head`; `text` says how it is encoded if it is a text. */
export async function contentTypeOf(head: Uint8Array, text: TextEncoding | undefined): Promise<ContentType> {
  const known = await fileTypeFromBuffer(head);
  if (isSvg(head, text)) return { mediaType: "image/svg+xml", extension: "svg" };
  if (known !== undefined) return { mediaType: known.mime, extension: known.ext };
  if (text === undefined) return { mediaType: "application/octet-stream", extension: "" };
  return isJson(head, text)
    ? { mediaType: "application/json", extension: "json" }
    : { mediaType: "text/plain", extension: "txt" };
}

/** The size of an image that starts with `head`; undefined if it is none, or does not say. */
export function imageSizeOf(head: Uint8Array, { mediaType }: ContentType): ImageSize | undefined {
  if (!mediaType.startsWith("image/")) return undefined;
  try {
    const { width, height, type, orientation } = imageSize(head);
    if (!(width > 0 && height > 0)) return undefined;
    const size = {
      width: Math.round(width),
      height: Math.round(height),
      format: type ?? mediaType.slice("image/".length),
    };
    return orientation === undefined ? size : { ...size, orientation };
  } catch {
    // The library throws for what it does not know, or what is cut off.
    return undefined;
  }
}

/** How the content can be listed as an archive. Documents and packages made of zip are listed too. */
export function archiveKindOf(head: Uint8Array, { mediaType }: ContentType): ArchiveKind | undefined {
  const [a, b, c, d] = head;
  if (a === 0x50 && b === 0x4b && ((c === 3 && d === 4) || (c === 5 && d === 6))) return "zip";
  if (a === 0x1f && b === 0x8b) return "gz";
  return mediaType === "application/x-tar" ? "tar" : undefined;
}

function isSvg(head: Uint8Array, text: TextEncoding | undefined): boolean {
  return (
    text !== undefined &&
    /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->)[^])*-->\s*|<!doctype[^>]*>\s*)*<svg[\s>/]/i.test(startOf(head, text))
  );
}

/** A whole document only: its start alone proves nothing. */
function isJson(head: Uint8Array, text: TextEncoding): boolean {
  const start = startOf(head, text);
  if (head.length >= TEXT_START_BYTES || !/^\s*[[{]/.test(start)) return false;
  try {
    JSON.parse(start);
    return true;
  } catch {
    return false;
  }
}

const TEXT_START_BYTES = 64 * 1024;

function startOf(head: Uint8Array, { name }: TextEncoding): string {
  return new TextDecoder(name).decode(head.subarray(0, TEXT_START_BYTES), { stream: true });
}
