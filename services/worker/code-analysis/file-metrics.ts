// What is measured of one file, as it travels in a task's result. A number that was not measured is absent, never 0.

/** Measures of any file. `path` is relative to the analysed root, with forward slashes. */
interface AnyFile {
  readonly path: string;
  /** Size in bytes; -1 when the file could not be read. */
  readonly bytes: number;
  /** Display name of the language by file name, e.g. `TypeScript`; `Other` when unknown. */
  readonly language: string;
}

/** Lines of a text. A last line without a newline counts; a newline at the very end opens no further line. */
export interface TextLines {
  readonly total: number;
  /** Lines of white space only, wherever they stand (also within comments, as cloc counts). */
  readonly blank: number;
  /** Length of the longest line in UTF-16 code units, without its line end. */
  readonly longest: number;
}

/** Lines of a parsed file: total = code + comment + blank. A line with code and a comment is a line of code. */
export interface SourceLines extends TextLines {
  readonly code: number;
  readonly comment: number;
}

/** One function with a body: a declaration, a method, an accessor, a function expression or an arrow function. */
export interface FunctionMetrics {
  /** Its own name, or that of what it is assigned to (`Class.method`, `callback of on`); at most 60 characters. */
  readonly name: string;
  /** First line, from 1. */
  readonly line: number;
  /** Length in lines, at least 1, nested functions included. */
  readonly lines: number;
  /** Cyclomatic complexity, at least 1, nested functions not included. */
  readonly complexity: number;
}

/** Something the parser complained about. */
export interface Finding {
  /** Line from 1; absent when the parser gave no place. */
  readonly line?: number;
  readonly message: string;
}

/** A TypeScript or JavaScript file that was parsed. */
export interface ParsedFile extends AnyFile {
  readonly kind: "parsed";
  readonly lines: SourceLines;
  readonly functions: {
    readonly count: number;
    /** The longest functions, longest first. */
    readonly longest: readonly FunctionMetrics[];
    /** The most complex functions, most complex first; those of complexity 1 are left out. */
    readonly mostComplex: readonly FunctionMetrics[];
  };
  /** Class declarations and expressions. */
  readonly classes: number;
  readonly imports: {
    /** Places that import: `import`, `export … from`, `import()`, `require("literal")`, `import x = require()`. */
    readonly count: number;
    /** How many distinct modules they name. */
    readonly modules: number;
    /** The first of those names in the order of the alphabet. */
    readonly specifiers: readonly string[];
  };
  /** Distinct exported names, ECMAScript and CommonJS; each `export *` is one. */
  readonly exports: number;
  /** Sum over all functions plus the body of the module, which counts as one function. */
  readonly complexity: number;
  /** Deepest nesting of if, switch, try and loops within one function; an `else if` does not nest. */
  readonly maxNesting: number;
  /** Markers of unfinished work in comments. */
  readonly todos: number;
  readonly findingCount: number;
  readonly findings: readonly Finding[];
}

/** Any other text, and source that the parser could make nothing of (then with findings). */
interface TextFile extends AnyFile {
  readonly kind: "text";
  readonly lines: TextLines;
  /** Markers of unfinished work in the whole text. */
  readonly todos: number;
  readonly findingCount?: number;
  readonly findings?: readonly Finding[];
}

/** A file with a NUL byte near its start, which is how git tells binary from text. */
interface BinaryFile extends AnyFile {
  readonly kind: "binary";
}

/** A file above the size limit: only its lines were counted. */
interface SkippedFile extends AnyFile {
  readonly kind: "skipped";
  readonly lines: { readonly total: number };
}

/** A file that is not there any more, is no regular file, or may not be read. */
interface UnreadableFile extends AnyFile {
  readonly kind: "unreadable";
  /** System error code such as `ENOENT`, or `NOT_A_FILE`. */
  readonly reason: string;
}

/** All that is known about one file. */
export type FileMetrics = ParsedFile | TextFile | BinaryFile | SkippedFile | UnreadableFile;
