// Counts lines, words and characters of a text that arrives in pieces of bytes. Pure.
import { TextDecoder } from "node:util";
import type { TextEncoding } from "./text-encoding.ts";

/** What was counted. */
export interface TextCounts {
  readonly encoding: string;
  readonly byteOrderMark: boolean;
  readonly lines: number;
  readonly words: number;
  readonly characters: number;
  readonly malformed: boolean;
}

const NEWLINE = 10;

/** Counts one text. */
export class TextCount {
  readonly #encoding: TextEncoding;
  readonly #decoder: TextDecoder;
  /** Tells of bytes that are not of the encoding; given up after the first. */
  #strict: TextDecoder | undefined;
  #newlines = 0;
  #words = 0;
  #characters = 0;
  #inWord = false;
  #endsWithNewline = true;

  constructor(encoding: TextEncoding) {
    this.#encoding = encoding;
    this.#decoder = new TextDecoder(encoding.name);
    this.#strict = new TextDecoder(encoding.name, { fatal: true });
  }

  add(piece: Uint8Array): void {
    this.#check(piece);
    this.#count(this.#decoder.decode(piece, { stream: true }));
  }

  /** What was counted. Once, at the end. */
  counts(): TextCounts {
    this.#check(undefined);
    this.#count(this.#decoder.decode());
    return {
      encoding: this.#encoding.name,
      byteOrderMark: this.#encoding.byteOrderMark,
      lines: this.#endsWithNewline ? this.#newlines : this.#newlines + 1,
      words: this.#words,
      characters: this.#characters,
      malformed: this.#strict === undefined,
    };
  }

  #check(piece: Uint8Array | undefined): void {
    try {
      if (piece === undefined) this.#strict?.decode();
      else this.#strict?.decode(piece, { stream: true });
    } catch {
      this.#strict = undefined;
    }
  }

  #count(text: string): void {
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      // The second half of a character that takes two.
      if (code < 0xdc00 || code > 0xdfff) this.#characters += 1;
      if (code === NEWLINE) this.#newlines += 1;
      const isSpace = code <= 0x20 || (code >= 0xa0 && SPACE.test(text.charAt(at)));
      if (!isSpace && !this.#inWord) this.#words += 1;
      this.#inWord = !isSpace;
    }
    if (text.length > 0) this.#endsWithNewline = text.charCodeAt(text.length - 1) === NEWLINE;
  }
}

const SPACE = /\s/;
