// The internal contract of lib/rows: what the engine says about rows and what decodes them.

/** Views over one ArrayBuffer with byteOffset 0. */
export interface FrameView {
  readonly buffer: Buffer & {
    latin1Slice(start: number, end: number): string;
    ucs2Slice(start: number, end: number): string;
  };
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  /** One frame has the memory to itself, and that is never used again: long values may stay where they are. */
  readonly isOwn: boolean;
}

/** `[name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier]` */
export type ShapeField = [string, number, number, number, number, number];

/** What `native.shape(number)` describes. */
export interface Shape {
  readonly number: number;
  readonly fields: readonly ShapeField[];
  /** Codes of lib/rows/kinds.js. */
  readonly kinds: readonly number[];
}

/** Appends the rows of one frame to `out` from `index` on and returns the index behind the last. */
export type Decode = (
  view: FrameView,
  /** Of the frame in bytes, a multiple of 8. */
  offset: number,
  rows: number,
  out: unknown[],
  index: number,
) => number;

/** A parser gets the exact text of the server, once per value and never for NULL; one of a raw column gets its bytes. */
export type TextParser = (text: string) => unknown;

/** One column of a decoder. */
export interface Column {
  readonly name: string;
  readonly kind: number;
  readonly parser: TextParser | undefined;
}

/** What the catalog says about a type: exactly one of the first three, or undefined when it stays text. */
export type TypeInfo = (oid: number) =>
  | {
      /** An array of this type. */
      readonly array?: number;
      /** A domain over this type. */
      readonly base?: number;
      /** A composite type: names and types of its attributes. */
      readonly attributes?: readonly (readonly [string, number])[];
      /** Of an array; `,` unless given. */
      readonly delimiter?: string;
    }
  | undefined;

export interface CompileOptions {
  readonly rowMode?: 'object' | 'array' | undefined;
  /** The user's parser of a type; must be one of the profile's custom types, or a type the preset leaves as text. */
  readonly parserFor?: ((oid: number) => TextParser | undefined) | undefined;
  /** What reads json inside users' types, if not `JSON.parse`. */
  readonly jsonParser?: TextParser | undefined;
  /** Types made by users; without it they stay text. */
  readonly typeInfo?: TypeInfo | undefined;
  /** Rows decoded without code generation before a decoder is generated. */
  readonly generateAfterRows?: number | undefined;
}

/** The option `types`: a preset, parsers by OID or type name, or an object like `types` of pg. */
export type TypesOption =
  | 'pg'
  | 'lossless'
  | { readonly [oidOrName: string | number]: TextParser }
  | { getTypeParser(oid: number, format?: 'text' | 'binary'): TextParser };

/** The options that concern JSON. */
export interface JsonOptions {
  readonly json?: 'text' | 'value' | undefined;
  readonly jsonNumbers?: 'number' | 'bigint' | 'string' | undefined;
}

/** What they mean for parameters. */
export interface JsonParams {
  /** A string, or an object that JSON has as one, is a string in JSON. */
  readonly values: boolean;
  /** BigInts in JSON are numbers, whatever the encoding. */
  readonly bigints: boolean;
}

/** The parsers that hold for one query. */
export interface ResolvedTypes {
  readonly preset: 'pg' | 'lossless';
  /** Sorted OIDs whose exact text the user wants; with the preset they make the profile of the engine. */
  readonly custom: readonly number[];
  /** The same for bytes of the binary format. */
  readonly raw: readonly number[];
  /** The user's parser, undefined where the preset's holds. */
  readonly parserFor: (oid: number) => TextParser | undefined;
  /** What reads json inside users' types, if not `JSON.parse`. */
  readonly jsonParser?: TextParser | undefined;
  /** How JSON is sent, where it is not as always. */
  readonly jsonParams?: JsonParams | undefined;
  /** Other parsers may be found next time: decoders made with this must not be kept. */
  readonly volatile: boolean;
}
